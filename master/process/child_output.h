// Logs the stdout and stderr of a process child: two pipes, read by the master, one log line for each line, with the
// child's path and a field `stream`. The log does the escaping. Or writes a stream to a file of its own, as it is.
//
// Nothing is lost: while the log is full, nothing is read, the pipe fills and the child waits; the master does not. A
// line of more than 2 KiB, or one that needs more room because of what has to be escaped, becomes several, which from
// the second on have the field `continued`. Lines are dropped, and counted, where the log can never take them (its disk
// is full, its reader is gone), above `log_rate_limit`, and when output has to be given up (OutputRemains).
//
// Bounds: at most 64 KiB of log are made of a stream at one turn of the loop, so that other work does not wait; and
// after 8 MiB in a second reading stops until the second is over, so that the child waits and not the master. In memory
// are at most 20 KiB of each stream and of the lines made of it. While the log is full, it is tried again after 1 ms,
// and then twice as long each time, up to 64 ms.
//
// Ownership: this class owns the master's ends; the caller passes on and closes the child's. Other processes that
//            inherit the child's ends may keep them open for ever, so the wait for "end of file" has a limit
//            (output_remains.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "master/process/handover.h"
#include "master/process/node_log.h"
#include "master/process/output_file.h"
#include "master/process/watched_fd.h"
#include "worker/log/output_lines.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class ChildOutput {
 public:
  // The child's ends; empty where the stream is not read here.
  struct ChildEnds {
    sys::Fd out;
    sys::Fd error;
  };
  struct Wanted {
    bool out = true;
    bool error = true;
    std::string out_file;  // empty: the log
    std::string error_file;
  };

  // `log`: where its lines go; null: to the daemon's log.
  ChildOutput(loop::Loop& loop, std::string path, log::OutputBudget::Limits limits = {},
              std::shared_ptr<NodeLog> log = nullptr);
  ChildOutput(const ChildOutput&) = delete;  // its callbacks point here
  ChildOutput& operator=(const ChildOutput&) = delete;

  // Opens the files, makes the pipes and watches them. EMFILE and ENFILE, and all errors of a file, are returned.
  [[nodiscard]] sys::Result<ChildEnds> open(const Wanted& wanted);
  // Lines that have been made go there, too.
  void log_to(std::shared_ptr<NodeLog> log) { log_ = std::move(log); }
  // Opens the files once more. Returns a sentence for each that cannot be; it is written to as before.
  [[nodiscard]] std::vector<std::string> reopen();
  // Logs what is in the pipes now, regardless of how much that was this second; bounded, because other processes may
  // continue to write.
  void read_rest();
  // All is read and logged.
  [[nodiscard]] bool at_end() const noexcept { return !out_.pipe && !error_.pipe && unsent_.empty(); }
  // It waits for room in the log.
  [[nodiscard]] bool is_held_up() const noexcept { return held_up_; }
  // For another program to continue with, and the continuation there, in place of open().
  [[nodiscard]] OutputHandover hand_over() const;
  void resume(const OutputHandover& from);
  // Logs an incomplete last line, reports how many lines were suppressed, closes the master's ends. What the log has no
  // room for is dropped and counted.
  void close();

 private:
  struct Stream {
    explicit Stream(const char* its_name) : name(its_name) {}
    const char* name;
    WatchedFd pipe;
    log::LineSplitter lines{log::LineSplitter::kLimit, log::LineSplitter::Rest::continued};
    std::string held;                  // read, and not yet made into lines or written
    std::unique_ptr<OutputFile> file;  // null: the log
  };
  enum class Left { more, nothing, held_up, end };
  static constexpr std::size_t kBytesPerTurn = 64U << 10U;

  [[nodiscard]] sys::Result<sys::Fd> open(Stream& stream, const std::string& file);
  [[nodiscard]] Left move_some(Stream& stream, std::size_t limit);
  void take_turn(Stream& stream, std::size_t limit);
  [[nodiscard]] Left copy(Stream& stream, std::string_view& bytes, std::size_t& limit);
  [[nodiscard]] Left log_lines(Stream& stream, std::string_view& bytes, std::size_t& limit);
  std::size_t make_lines(const Stream& stream, const log::LineSplitter::Piece& piece);
  [[nodiscard]] bool send();
  void finish(Stream& stream);
  [[nodiscard]] std::uint64_t drop_rest(Stream& stream);
  void pause(std::chrono::milliseconds delay);
  void hold_up();
  void go_on();
  void begin_second();
  void end_second();
  void report_suppressed();

  [[nodiscard]] log::Sink& sink() const noexcept { return log_ ? log_->sink() : log::own(); }
  [[nodiscard]] log::Place place() const noexcept { return {path_, sink()}; }

  loop::Loop& loop_;
  std::string path_;
  std::shared_ptr<NodeLog> log_;
  log::OutputBudget budget_;
  loop::Timer second_;
  bool in_second_ = false;
  loop::Timer again_;
  std::chrono::milliseconds patience_{0};  // before the log is tried again
  bool held_up_ = false;
  Stream out_{"stdout"};
  Stream error_{"stderr"};
  std::string unsent_;  // lines for the log
};

}  // namespace bulkhead::process
