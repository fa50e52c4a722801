// In the place of bulkhead-worker, which is beside it as bulkhead-worker.real: becomes that, a worker with sockets only
// once the file closed.PID, with the master's pid, is gone.
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { FIRST_SOCKET = 9 };  // kFirstSocketFd of worker/ipc/message.h

int main(int argc, char** argv) {
  (void)argc;
  char own[PATH_MAX] = "";
  char path[PATH_MAX + 64];
  if (readlink("/proc/self/exe", own, sizeof own - 1) < 0) return 1;
  const char* const folder = dirname(own);
  snprintf(path, sizeof path, "%s/closed.%d", folder, (int)getppid());
  while (fcntl(FIRST_SOCKET, F_GETFD) >= 0 && access(path, F_OK) == 0) usleep(5000);
  snprintf(path, sizeof path, "%s/bulkhead-worker.real", folder);
  execv(path, argv);
  return 1;
}
