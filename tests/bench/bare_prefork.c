#include "bare_prefork.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { max_workers = 256, backlog = 1024 };

_Noreturn static void fail(const char* operation) {
  perror(operation);
  exit(71);
}

static int listen_on_loopback(void) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("socket");
  // Set once and inherited by every connection, as bulkheadd does it.
  const int on = 1;
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) fail("TCP_NODELAY");
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (const struct sockaddr*)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, backlog) < 0) fail("listen");
  return listener;
}

static int port_of(int listener) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  if (getsockname(listener, (struct sockaddr*)&address, &size) < 0) fail("getsockname");
  return ntohs(address.sin_port);
}

_Noreturn static void serve(int listener, start_child_fn* start_child) {
  for (;;) {
    const int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (connection < 0) fail("accept");
    start_child(connection);
    close(connection);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
}

static pid_t start_worker(int listener, start_child_fn* start_child, const sigset_t* awaited) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent) _exit(71);
  sigprocmask(SIG_UNBLOCK, awaited, NULL);
  serve(listener, start_child);
}

int bare_prefork(int workers, start_child_fn* start_child) {
  // Blocked before the first fork, so that none of them can be missed.
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGTERM);
  sigaddset(&awaited, SIGINT);
  sigaddset(&awaited, SIGCHLD);
  sigprocmask(SIG_BLOCK, &awaited, NULL);

  const int listener = listen_on_loopback();
  pid_t pids[max_workers];
  for (int i = 0; i < workers; ++i) pids[i] = start_worker(listener, start_child, &awaited);
  printf("%d\n", port_of(listener));
  fflush(stdout);

  int caught = 0;
  sigwait(&awaited, &caught);
  if (caught == SIGCHLD) fputs("a worker ended by itself\n", stderr);
  // None of them has been reaped yet, so no pid here can be somebody else's.
  for (int i = 0; i < workers; ++i) kill(pids[i], SIGTERM);
  for (int i = 0; i < workers; ++i) waitpid(pids[i], NULL, 0);
  return caught == SIGCHLD;
}

int bare_worker_count(const char* text) {
  char* end = NULL;
  const long count = text == NULL ? 0 : strtol(text, &end, 10);
  if (count >= 1 && count <= max_workers && *end == '\0') return (int)count;
  fprintf(stderr, "the number of workers must be 1 to %d\n", max_workers);
  exit(64);
}
