// Logs the stdout and stderr of a process child: two pipes, read by the master, one log line for each line, with the
// child's path and a field `stream`. The log does the escaping.
//
// Bounds: a line is cut at 2 KiB with "..."; 100 lines a second are logged and the others counted; at most 64 KiB of a
// stream are read at one turn of the loop, so that other work does not wait; and after 4 MiB in a second reading stops
// until the second is over, so that the child waits and not the master. A child blocks on a full pipe otherwise only
// when the master is stopped.
//
// Ownership: this class owns the master's ends; the caller passes on and closes the child's. Other processes that
//            inherit the child's ends may keep them open for ever, so the wait for "end of file" has a limit
//            (output_remains.h).
#pragma once

#include <cstdint>
#include <string>

#include "master/process/handover.h"
#include "master/process/watched_fd.h"
#include "worker/log/output_lines.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class ChildOutput {
 public:
  struct ChildEnds {
    sys::Fd out;
    sys::Fd error;
  };

  ChildOutput(loop::Loop& loop, std::string path, log::OutputBudget::Limits limits = {});
  ChildOutput(const ChildOutput&) = delete;  // its callbacks point here
  ChildOutput& operator=(const ChildOutput&) = delete;

  // Makes the pipes and watches them; without `error`, only the one for stdout. EMFILE and ENFILE are returned as
  // errors.
  [[nodiscard]] sys::Result<ChildEnds> open(bool error);
  // Reads what is in the pipes now, regardless of how much was read this second; bounded, because other processes may
  // continue to write.
  void read_rest();
  [[nodiscard]] bool at_end() const noexcept { return !out_.pipe && !error_.pipe; }
  // For another program to continue with, and the continuation there, in place of open().
  [[nodiscard]] OutputHandover hand_over() const;
  void resume(const OutputHandover& from);
  // Logs an incomplete last line, reports how many lines were suppressed, closes the master's ends.
  void close();

 private:
  struct Stream {
    const char* name;
    WatchedFd pipe;
    log::LineSplitter lines;
  };
  enum class Left { more, nothing, end };

  [[nodiscard]] sys::Result<sys::Fd> open(Stream& stream);
  void on_readable(Stream& stream);
  [[nodiscard]] Left read_some(Stream& stream, std::size_t limit);
  void finish(Stream& stream);
  void log_line(const Stream& stream, std::string_view line, bool cut);
  void begin_second();
  void end_second();

  loop::Loop& loop_;
  std::string path_;
  log::OutputBudget budget_;
  loop::Timer second_;
  bool in_second_ = false;
  Stream out_{"stdout", {}, log::LineSplitter{}};
  Stream error_{"stderr", {}, log::LineSplitter{}};
};

}  // namespace bulkhead::process
