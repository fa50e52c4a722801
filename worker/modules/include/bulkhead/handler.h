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
 * process of its own, forked from the worker: serve() has its own copy of the worker's memory (copied on write), and
 * whatever goes wrong in it affects only that one connection. The master process never loads the library. See
 * bulkhead_handler(3).
 *
 * Plain C11 and C++. Strings are NUL-terminated; the module must not free or change bulkhead's. Nothing here may be
 * called from a thread that the module has created; before serve() it must not create any.
 */
#ifndef BULKHEAD_HANDLER_H
#define BULKHEAD_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of this interface. It changes only when modules would have to be changed. Additions are made at the end
 * of a structure, whose `size` shows which members are present; the version stays.
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
 * The worker, as the module sees it. The same object, at the same address, for the whole life of the worker and in all
 * its connection processes: init() may keep the pointer.
 */
struct bulkhead_host {
  uint32_t abi;          /* BULKHEAD_HANDLER_ABI of the worker */
  uint32_t size;         /* bytes of this structure that the worker fills in */
  const char* version;   /* of bulkhead, such as "0.1.0" */
  const char* listener;  /* its path in the supervision tree, such as "root/web" */
  uint32_t worker;       /* the number of the worker in its listener, from 1; a restarted worker has the same number */
  uint32_t generation;   /* the number of the configuration since the daemon was started, from 1 */
  const char* options;   /* `options` of the handler as JSON text in UTF-8, always an object: "{}" if there are none */
  size_t options_length; /* strlen(options) */

  /*
   * Writes one line to bulkhead's log under the listener's path; from serve(), with the connection's id. `text` needs
   * no newline; control characters are escaped, and a text of more than about 3000 bytes is cut. Allocates nothing,
   * never blocks (if the log is full the line is lost and counted), preserves errno, and may be called in a signal
   * handler.
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
   * The drain notice: once poll(2) reports POLLHUP for this descriptor, the listener accepts no new connections,
   * because it, or the daemon, is being stopped, or because the daemon has died. serve() should return when its
   * protocol allows it; a process that still runs after `drain_timeout` gets SIGTERM and SIGCONT, and SIGKILL
   * `shutdown` later. Nothing can be read from it. A module that needs no notice ignores it. Close-on-exec.
   */
  int32_t drain_fd;

  const char* id;    /* unique for the daemon's life; `connection` in the log, `id` in bulkheadctl(8) */
  const char* peer;  /* the client: "192.0.2.7:5000", "[2001:db8::1]:5000", "unix:uid=1000,pid=812" */
  const char* local; /* bulkhead's end, in the same form; for a Unix socket its path, "unix:/run/x.sock" */
};

/* Describes a module: a constant that bulkhead_module() returns. Members that are not required may be null. */
struct bulkhead_handler {
  uint32_t abi;  /* BULKHEAD_HANDLER_ABI */
  uint32_t size; /* sizeof(struct bulkhead_handler) */

  /*
   * Called once in each worker, as the listener's user and group, before the worker accepts connections. Every
   * connection has what is allocated and computed here at no further cost: parse the options, read tables and
   * certificates. `*state` is null and belongs to the module; its value is passed to serve() and fini().
   *
   * Returns 0 on success. Otherwise it writes one line that gives the reason to `error`, which has room for
   * `error_size` bytes, and the worker does not start. This counts as a failed start: it is tried again as the
   * listener's max_restarts and max_seconds allow, and the reason is logged each time. start_timeout limits the time it
   * may take.
   *
   * init() may open descriptors, but connections do not inherit them. Apart from that it must leave the process as it
   * was: no threads and no processes, no signal handlers, timers or blocked signals, the same directory, umask, limits,
   * locale and environment. The same holds for constructors of the library. They must not open descriptors either, have
   * 4 seconds, and run twice: first in a temporary process, which is discarded.
   */
  int (*init)(const struct bulkhead_host* host, void** state, char* error, size_t error_size);

  /*
   * Required. Serves one connection, in a process of its own with default signal dispositions, an empty signal mask and
   * its own session. Its environment and descriptor 2 are those that an `exec` handler would have, variables about the
   * connection and the PROXY protocol included; descriptors that init() opened are closed. atfork handlers
   * (pthread_atfork(3)) have run, so that random number generators of libraries differ between processes. Threads,
   * processes and signal handlers are allowed from here on. Memory need not be freed.
   *
   * The return value is the exit status of the process: 0 is a normal end; any other value, or death by a signal, is
   * logged and counted as a crash, which costs only this connection. exit(3) has the same effect as a return: stdio's
   * buffers are written and functions that serve() itself registered with atexit(3) run, but none that was registered
   * before, and no destructor of a static object. An exception that leaves serve() is logged, and the process exits
   * with status 70.
   */
  int (*serve)(const struct bulkhead_host* host, void* state, const struct bulkhead_connection* connection);

  /*
   * Called once in a worker that retires (a stop, a restart, `bulkheadctl scale`), after its last fork; its connections
   * may still be open. It is given one second. It is called neither if init() failed nor in a worker that is killed, so
   * nothing may depend on it. The library is never unloaded.
   */
  void (*fini)(void* state);
};

/*
 * The only symbol that a module exports. Called once per load, before init(); `host_abi` is the worker's
 * BULKHEAD_HANDLER_ABI. Returns a structure that describes the module, or null if the module does not support that
 * version; the result must stay valid.
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
