/* Writes to standard error, and then echoes what it reads.
 *   complains COUNT SIZE   COUNT lines of SIZE bytes with their newline, each with a write(2) of its own: "000017 xxx…"
 * Says "done FAILED\n" to the client between the two: how many of the writes failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char line[1 << 16];
  if (argc < 3) return 64;
  const unsigned long count = strtoul(argv[1], NULL, 10);
  const unsigned long size = strtoul(argv[2], NULL, 10);
  unsigned long failed = 0;
  if (size < 9 || size > sizeof line) return 64;
  memset(line, 'x', size);
  for (unsigned long i = 0; i < count; ++i) {
    snprintf(line, 8, "%06lu ", i % 1000000);
    line[7] = 'x';
    line[size - 1] = '\n';
    if (write(2, line, size) != (ssize_t)size) ++failed;
  }
  dprintf(1, "done %lu\n", failed);
  for (;;) {
    const ssize_t got = read(0, line, sizeof line);
    if (got <= 0) return 0;
    if (write(1, line, (size_t)got) != got) return 1;
  }
}
