/*
 * A handler module: sends every line back in upper case, after the prefix from its options, and takes leave of its
 * client when the listener drains. Build it against an installed bulkhead, with CMake (see CMakeLists.txt) or by hand:
 *
 *   cc -shared -fPIC $(pkg-config --cflags bulkhead) -o shout.so shout.c
 *
 * and name it in bulkhead.json:  "handler": { "module": "shout.so", "options": { "prefix": "> " } }
 */
#include <bulkhead/handler.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum { LONGEST_LINE = 4096 };

struct shout {
  char prefix[64];
};

/* Finds the value of "prefix". A real module would use a JSON library; this one does not support escapes. */
static int read_prefix(const char* options, char* prefix, size_t size) {
  const char* at = strstr(options, "\"prefix\":\"");
  if (at == NULL) return 0;
  at += strlen("\"prefix\":\"");
  const size_t length = strcspn(at, "\"\\");
  if (at[length] != '"' || length >= size) return -1;
  memcpy(prefix, at, length);
  return 0;
}

/* Called once in each worker. Every connection inherits what is computed here. */
static int init(const struct bulkhead_host* host, void** state, char* error, size_t error_size) {
  struct shout* shout = calloc(1, sizeof *shout);
  if (shout == NULL) return 1;
  if (read_prefix(host->options, shout->prefix, sizeof shout->prefix) != 0) {
    snprintf(error, error_size, "the option \"prefix\" has to be a string of less than 64 plain characters");
    return 1;
  }
  *state = shout;
  return 0;
}

static int send_all(int fd, const char* bytes, size_t length) {
  while (length > 0) {
    const ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent <= 0) return -1;
    bytes += sent;
    length -= (size_t)sent;
  }
  return 0;
}

static int answer(int fd, const char* prefix, char* line, size_t length) {
  for (size_t i = 0; i < length; ++i) line[i] = (char)toupper((unsigned char)line[i]);
  return send_all(fd, prefix, strlen(prefix)) == 0 && send_all(fd, line, length) == 0 ? 0 : -1;
}

/* Answers every whole line in `buffer` and moves the rest to its front; a line that is too long is sent in pieces. */
static int answer_lines(int fd, const char* prefix, char* buffer, size_t* filled) {
  char* start = buffer;
  char* end = buffer + *filled;
  for (char* newline; (newline = memchr(start, '\n', (size_t)(end - start))) != NULL; start = newline + 1) {
    if (answer(fd, prefix, start, (size_t)(newline + 1 - start)) != 0) return -1;
  }
  if (start == buffer && *filled == LONGEST_LINE) {
    if (answer(fd, prefix, start, *filled) != 0) return -1;
    start = end;
  }
  *filled = (size_t)(end - start);
  memmove(buffer, start, *filled);
  return 0;
}

/* Called once per connection, in a process of its own. Waits for the client and for the drain notice together. */
static int serve(const struct bulkhead_host* host, void* state, const struct bulkhead_connection* connection) {
  const struct shout* shout = state;
  char buffer[LONGEST_LINE];
  size_t filled = 0;
  struct pollfd events[2] = {{connection->fd, POLLIN, 0}, {connection->drain_fd, 0, 0}};
  (void)host;
  while (poll(events, 2, -1) > 0) {
    if (events[0].revents != 0) {
      const ssize_t got = read(connection->fd, buffer + filled, sizeof buffer - filled);
      if (got <= 0) return 0; /* the client has finished or is gone: a normal end */
      filled += (size_t)got;
      if (answer_lines(connection->fd, shout->prefix, buffer, &filled) != 0) return 0;
    } else if (events[1].revents & POLLHUP) {
      (void)send_all(connection->fd, "BYE\n", 4);
      return 0;
    }
  }
  return 1;
}

static void fini(void* state) {
  free(state);
}

static const struct bulkhead_handler handler = {
    .abi = BULKHEAD_HANDLER_ABI, .size = sizeof handler, .init = init, .serve = serve, .fini = fini};

const struct bulkhead_handler* bulkhead_module(uint32_t host_abi) {
  return host_abi == BULKHEAD_HANDLER_ABI ? &handler : NULL;
}
