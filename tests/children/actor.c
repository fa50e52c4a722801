/* Does as it is told, for tests that replay supervision scenarios with real processes.
 *   actor COUNTER ON_TERMINATE DELAY_MS FAIL_DELAY_MS [ATTEMPT…]
 * COUNTER is a file that grows by one byte with every start, so that each start knows which attempt it is. The attempts
 * listed wait FAIL_DELAY_MS and end before they are ready. All others write a newline to descriptor $NOTIFY_FD and
 * wait: USR1     ends with status 0 USR2     ends with status 3 TERM     as ON_TERMINATE says: exit (dies of it),
 * ignore, exit_normal (status 0), exit_crash (status 1), exit_slow (dies of it DELAY_MS later) */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_ms(const char* digits) {
  usleep((useconds_t)strtoul(digits, NULL, 10) * 1000);
}

static long count_start(const char* counter) {
  struct stat status;
  int fd = open(counter, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &status) != 0) _exit(99);
  close(fd);
  return (long)status.st_size;
}

static void die_of(int number, const sigset_t* waited_for) {
  signal(number, SIG_DFL);
  raise(number);
  sigprocmask(SIG_UNBLOCK, waited_for, NULL);
}

static void terminate(const char* how, const char* delay, const sigset_t* waited_for) {
  if (strcmp(how, "ignore") == 0) return;
  if (strcmp(how, "exit_normal") == 0) _exit(0);
  if (strcmp(how, "exit_crash") == 0) _exit(1);
  if (strcmp(how, "exit_slow") == 0) wait_ms(delay);
  die_of(SIGTERM, waited_for);
}

int main(int argc, char** argv) {
  if (argc < 5) return 64;
  sigset_t waited_for;
  sigemptyset(&waited_for);
  sigaddset(&waited_for, SIGTERM);
  sigaddset(&waited_for, SIGUSR1);
  sigaddset(&waited_for, SIGUSR2);
  const long attempt = count_start(argv[1]);
  for (int i = 5; i < argc; ++i) {
    if (strtol(argv[i], NULL, 10) != attempt) continue;
    wait_ms(argv[4]);
    return 1;
  }
  sigprocmask(SIG_BLOCK, &waited_for, NULL);
  const char* fd = getenv("NOTIFY_FD");
  if (fd == NULL || write(atoi(fd), "\n", 1) != 1) return 98;
  close(atoi(fd));
  for (;;) {
    int number = 0;
    if (sigwait(&waited_for, &number) != 0) return 97;
    if (number == SIGUSR1) return 0;
    if (number == SIGUSR2) return 3;
    terminate(argv[2], argv[3], &waited_for);
  }
}
