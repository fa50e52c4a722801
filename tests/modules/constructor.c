/* A module that is good except for its constructor, which commits SIN: one of the functions here. */
#include <bulkhead/handler.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static void* loop(void* unused) {
  for (;;) free(malloc(100));
  return unused;
}

static void on_signal(int number) {
  (void)number;
}

UNUSED static void starts_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, loop, NULL);
}

UNUSED static void ignores_sigpipe(void) {
  signal(SIGPIPE, SIG_IGN);
}
UNUSED static void handles_sigchld(void) {
  signal(SIGCHLD, on_signal);
}
UNUSED static void changes_directory(void) {
  if (chdir("/tmp") != 0) abort();
}
UNUSED static void changes_umask(void) {
  umask(0);
}
UNUSED static void opens_descriptors(void) {
  for (int i = 3; i <= 20; ++i) (void)open("/dev/null", O_RDWR);
}
UNUSED static void sets_environment(void) {
  setenv("LD_PRELOAD", "/tmp/x.so", 1);
}
UNUSED static void exits(void) {
  exit(3);
}
UNUSED static void crashes(void) {
  *(volatile int*)16 = 1;
}
UNUSED static void hangs(void) {
  sleep(60);
}
UNUSED static void changes_limit(void) {
  const struct rlimit limit = {16, 16};
  setrlimit(RLIMIT_NOFILE, &limit);
}
UNUSED static void blocks_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  sigprocmask(SIG_BLOCK, &set, NULL);
}
UNUSED static void starts_process(void) {
  if (fork() == 0) {
    sleep(60);
    _exit(0);
  }
}
UNUSED static void starts_session(void) {
  if (fork() == 0) {
    setsid();
    sleep(60);
    _exit(0);
  }
}
UNUSED static void sets_timer(void) {
  alarm(30);
}
UNUSED static void changes_locale(void) {
  setlocale(LC_ALL, "C.UTF-8");
}

__attribute__((constructor)) static void construct(void) {
  SIN();
}

static int serve(const struct bulkhead_host* host, void* state, const struct bulkhead_connection* connection) {
  (void)host;
  (void)state;
  (void)connection;
  return 0;
}

static const struct bulkhead_handler handler = {
    .abi = BULKHEAD_HANDLER_ABI, .size = sizeof(struct bulkhead_handler), .serve = serve};

const struct bulkhead_handler* bulkhead_module(uint32_t host_abi) {
  (void)host_abi;
  return &handler;
}
