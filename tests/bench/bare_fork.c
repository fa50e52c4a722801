// bare_fork WORKERS: accept, fork, echo, _exit.
#include <stdio.h>
#include <unistd.h>

#include "bare_prefork.h"
#include "line_echo.h"

static void start_child(int connection) {
  const pid_t pid = fork();
  if (pid < 0) perror("fork");
  if (pid == 0) _exit(line_echo(connection, connection));
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fputs("usage: bare_fork WORKERS\n", stderr);
    return 64;
  }
  return bare_prefork(bare_worker_count(argv[1]), start_child);
}
