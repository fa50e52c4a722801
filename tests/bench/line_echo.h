// Line echo with the meaning of bulkheadd's echo handler: every byte up to and including the last newline goes back
// as soon as it is there, a line longer than the buffer goes back in pieces, and what is left goes back at end of
// input. Returns an exit status.
#ifndef BULKHEAD_TESTS_BENCH_LINE_ECHO_H
#define BULKHEAD_TESTS_BENCH_LINE_ECHO_H

int line_echo(int in, int out);

#endif
