/*
 * bulkhead/handler.h: the interface between bulkhead and a handler module, a shared library that serves connections.
 *
 * A listener whose handler is {"module": "x.so", "options": {…}} gives its connections to x.so:
 *
 *   worker process, one of several      bulkhead_module(abi) → init()                                        fini()
 *                                                                 │ fork, per connection                    (if it
 *   connection process                                            └────────▶ serve() ▶ its process ends     retires)
 *
 * The library is loaded, and init() runs, once in each worker, before it accepts. Each connection is then served in a
 * process of its own, forked from the worker: serve() has the worker's memory, copied on write, to itself, and whatever
 * becomes of it, nobody else notices. The master process never loads the library. See bulkhead_handler(3).
 *
 * Plain C11 and C++. Strings are NUL-terminated, bulkhead's own are not to be freed or changed. Nothing here may be
 * called from a thread that the module made; before serve() it must not make any.
 */
#ifndef BULKHEAD_HANDLER_H
#define BULKHEAD_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of this interface. It changes when a module would have to be changed. What is only added is added at the
 * end of a structure, whose `size` then tells whether it is there; the version stays.
 */
#define BULKHEAD_HANDLER_ABI 1u

#if defined(__GNUC__)
#define BULKHEAD_EXPORT __attribute__((visibility("default")))
#else
#define BULKHEAD_EXPORT
#endif

/* How important a line of the log is; `log.level` in bulkhead.json(5) decides which are written. */
enum bulkhead_level { BULKHEAD_DEBUG = 0, BULKHEAD_INFO = 1, BULKHEAD_WARNING = 2, BULKHEAD_ERROR = 3 };

/*
 * What the worker is and does for the module. One object for the life of the worker and of its connection processes, at
 * the same address: init() may keep the pointer.
 */
struct bulkhead_host {
  uint32_t abi;         /* BULKHEAD_HANDLER_ABI of the worker */
  uint32_t size;        /* bytes of this structure that the worker fills in */
  const char* version;  /* of bulkhead, such as "0.1.0" */
  const char* listener; /* its path in the supervision tree, such as "root/web" */
  uint32_t worker;      /* which of the listener's workers, from 1; a restarted worker has the same number */
  uint32_t generation;  /* which configuration since the daemon started, from 1 */
  const char* options;  /* `options` of the handler as JSON text in UTF-8, always an object: "{}" when there are none */
  size_t options_length; /* strlen(options) */

  /*
   * Writes one line to bulkhead's log under the listener's path; from serve(), with the connection's id. `text` needs
   * no newline; control characters are escaped, more than about 3000 bytes are cut. Allocates nothing, never blocks
   * (where the log is full the line is lost and counted), keeps errno, and may be called in a signal handler.
   */
  void (*log)(enum bulkhead_level level, const char* text);
};

/* One connection, for one call of serve(). */
struct bulkhead_connection {
  uint32_t size; /* bytes of this structure that the worker fills in */

  /*
   * The connection: a stream socket, blocking. It is descriptor 0, and descriptor 1 is the same, so that code written
   * for inetd(8) works and a stray printf(3) goes to the client. serve() need not close it.
   */
  int32_t fd;

  /*
   * The drain notice: once poll(2) reports POLLHUP for this descriptor, no new connections come to this listener,
   * because it, or the daemon, is being stopped, or because the daemon has died. Come to an end when it suits the
   * protocol; who has not by the end of `drain_timeout` gets SIGTERM and SIGCONT, and SIGKILL `shutdown` later. There
   * is nothing to read. A module that needs no notice ignores it. Close-on-exec.
   */
  int32_t drain_fd;

  const char* id;    /* unique for the daemon's life; `connection` in the log, and what bulkheadctl(8) shows */
  const char* peer;  /* the client: "192.0.2.7:5000", "[2001:db8::1]:5000", "unix:uid=1000,pid=812" */
  const char* local; /* our end of it, the same way; a Unix socket's is its path, "unix:/run/x.sock" */
};

/* What a module is: a constant that bulkhead_module() returns. Members that are not required may be null. */
struct bulkhead_handler {
  uint32_t abi;  /* BULKHEAD_HANDLER_ABI */
  uint32_t size; /* sizeof(struct bulkhead_handler) */

  /*
   * Once in each worker, as the listener's user and group, before the first connection. What it allocates and computes
   * here every connection has for nothing: parse the options, read tables and certificates. `*state` is null and the
   * module's own; it is handed to serve() and fini().
   *
   * Return 0; or another value and in `error`, which has room for `error_size` bytes, one line that says what is wrong.
   * Then the worker does not start, which counts as a failed start: it is tried again as the listener's max_restarts
   * and max_seconds allow, and the reason is in the log each time. start_timeout bounds the time it may take.
   *
   * init() may open descriptors, but connections do not inherit them. Everything else about the process must be as
   * before when it returns: no threads and no processes, no handlers, timers or blocked signals, the same directory,
   * umask, limits, locale and environment. The same holds for constructors of the library, which may not open
   * descriptors either, have 4 seconds, and run twice: first in a process that is thrown away, to see what they do.
   */
  int (*init)(const struct bulkhead_host* host, void** state, char* error, size_t error_size);

  /*
   * Required. Serves one connection, in a process of its own with default signal dispositions, an empty signal mask and
   * its own session. Its environment and descriptor 2 are those that an `exec` handler would have, variables about the
   * connection and the PROXY protocol included; what init() had opened is closed. atfork handlers (pthread_atfork(3))
   * have run, so that random number generators of libraries are told apart. Threads, processes and signal handlers are
   * allowed from here on. What is allocated need not be freed.
   *
   * The returned value is the exit status of the process: 0 is a normal end, every other, or a signal, a crash, which
   * costs this connection and is logged and counted as such. exit(3) does the same as return: what stdio holds is
   * written and functions that serve() itself gave to atexit(3) run, but none that was registered before, and no
   * destructor of a static object. An exception that leaves serve() is logged and ends the process with 70.
   */
  int (*serve)(const struct bulkhead_host* host, void* state, const struct bulkhead_connection* connection);

  /*
   * Once in a worker that retires (a stop, a restart, `bulkheadctl scale`), after its last fork; its connections may
   * still be going on. It has a second. Not called where init() failed, nor in a worker that is killed: nothing may
   * depend on it. The library is never unloaded.
   */
  void (*fini)(void* state);
};

/*
 * The one symbol of a module. Called once per load, before init(); `host_abi` is the worker's BULKHEAD_HANDLER_ABI. It
 * returns what the module offers for that version, or null when it has nothing for it; the result must stay valid.
 *
 *   BULKHEAD_EXPORT const struct bulkhead_handler *bulkhead_module(uint32_t host_abi) {
 *     return host_abi == BULKHEAD_HANDLER_ABI ? &handler : NULL;
 *   }
 */
BULKHEAD_EXPORT const struct bulkhead_handler* bulkhead_module(uint32_t host_abi);

#ifdef __cplusplus
}
#endif

#endif
