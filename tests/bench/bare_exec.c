// bare_exec WORKERS PROGRAM: accept, vfork, exec of PROGRAM with the connection as 0 and 1 and an empty environment.
#include <stdio.h>
#include <unistd.h>

#include "bare_prefork.h"

static char* program[2];

static void start_child(int connection) {
  static char* no_environment[] = {NULL};
  const pid_t pid = vfork();
  if (pid < 0) perror("vfork");
  if (pid != 0) return;
  if (dup2(connection, 0) == 0 && dup2(connection, 1) == 1) execve(program[0], program, no_environment);
  _exit(71);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fputs("usage: bare_exec WORKERS PROGRAM\n", stderr);
    return 64;
  }
  program[0] = argv[2];
  if (access(program[0], X_OK) < 0) {
    perror(program[0]);
    return 64;
  }
  return bare_prefork(bare_worker_count(argv[1]), start_child);
}
