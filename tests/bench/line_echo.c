#include "line_echo.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static int write_all(int out, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(out, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    data += written;
    size -= (size_t)written;
  }
  return 0;
}

int line_echo(int in, int out) {
  static char buffer[65536];  // bss, so a child pays only for the pages that it touches
  size_t held = 0;
  for (;;) {
    const ssize_t got = read(in, buffer + held, sizeof buffer - held);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return 1;
    if (got == 0) return write_all(out, buffer, held) < 0;

    const char* newline = memrchr(buffer + held, '\n', (size_t)got);
    held += (size_t)got;
    size_t due = held == sizeof buffer ? held : 0;
    if (newline != NULL) due = (size_t)(newline - buffer) + 1;
    if (write_all(out, buffer, due) < 0) return 1;
    held -= due;
    memmove(buffer, buffer + due, held);
  }
}
