/* Speaks sd_notify(3) to $NOTIFY_SOCKET as its arguments say, one after another, and ends with status 0:
 *   NAME=VALUE…   sends it as one message ("READY=1", "STATUS=warming up")
 *   sleep:MS      waits
 *   every:MS      sends WATCHDOG=1 that often, for ever
 *   fork:MESSAGE  sends it from a child that waits to be reaped
 *   stranger:MESSAGE  the same, from a child in a session of its own
 *   show:NAME     prints an environment variable, and our pid
 *   exit:STATUS   ends with it */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void notify(const char* message) {
  const char* name = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (name == NULL || fd < 0 || strlen(name) >= sizeof address.sun_path) exit(99);
  memcpy(address.sun_path, name, strlen(name));
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
  if (sendto(fd, message, strlen(message), 0, (struct sockaddr*)&address, length) < 0) perror("sendto");
  close(fd);
}

static void wait_ms(const char* digits) {
  usleep((useconds_t)strtoul(digits, NULL, 10) * 1000);
}

static void notify_from_child(const char* message, int own_session) {
  pid_t pid = fork();
  if (pid == 0) {
    if (own_session) setsid();
    notify(message);
    usleep(300 * 1000); /* long enough to be looked at */
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static int starts(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void act(const char* word) {
  const char* rest = strchr(word, ':');
  if (rest != NULL) ++rest;
  if (starts(word, "sleep:")) {
    wait_ms(rest);
  } else if (starts(word, "every:")) {
    for (;;) {
      notify("WATCHDOG=1");
      wait_ms(rest);
    }
  } else if (starts(word, "fork:") || starts(word, "stranger:")) {
    notify_from_child(rest, word[0] == 's');
  } else if (starts(word, "show:")) {
    const char* value = getenv(rest);
    printf("%s=%s pid=%d\n", rest, value != NULL ? value : "(not set)", (int)getpid());
    fflush(stdout);
  } else if (starts(word, "exit:")) {
    exit((int)strtol(rest, NULL, 10));
  } else {
    notify(word);
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) act(argv[i]);
  return 0;
}
