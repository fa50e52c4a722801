// Shared by both bare loops: the least that a prefork server can do, and so the bar that bulkheadd is measured by. No
// admission, no table, no log, no limits, no supervision.
#ifndef BULKHEAD_TESTS_BENCH_BARE_PREFORK_H
#define BULKHEAD_TESTS_BENCH_BARE_PREFORK_H

// Starts the child that serves `connection`; the caller closes its own copy and reaps. May not return in the child.
typedef void start_child_fn(int connection);

// Binds 127.0.0.1 on a port of the kernel's choice and prints the port on a line of its own once the workers are
// there, each of them in accept, start_child, close, waitpid. Ends them on TERM or INT and returns 0. A worker that
// ends by itself would spoil the figures, so that ends the server, with 1.
int bare_prefork(int workers, start_child_fn* start_child);

// The number of workers in `text`; a usage error ends the program with 64.
int bare_worker_count(const char* text);

#endif
