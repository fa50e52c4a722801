// The log lines of one worker, and of the module handlers that run below it: they write to a socket of their own, and
// the master passes the lines on to the log, several with one write. A worker has no description of the log itself,
// because with one it could truncate a file, overwrite it, or fill a pipe until the master has no room.
//
// Only lines that look like a worker's are passed on as they are: bytes that no line has become "?", and anything else
// (a message of a library that aborts) is logged as text below the worker's path, at most 100 lines a second.
//
// Bounds: at most kTurn bytes are read at one turn of the loop, and then none for kPause, so that a worker that writes
// without end costs little of the master and of the disk; under load this also gathers lines. A worker whose socket is
// full drops the line, counts it and reports it later (worker/log/log.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "master/process/handover.h"
#include "master/process/node_log.h"
#include "master/process/watched_fd.h"
#include "worker/log/log.h"
#include "worker/log/output_lines.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// Pure: whether this begins as a worker's line does, in either format, after which only its message and fields follow.
[[nodiscard]] bool is_worker_line(std::string_view line) noexcept;

class WorkerLines {
 public:
  static constexpr std::size_t kTurn = 64U << 10U;
  static constexpr std::chrono::milliseconds kPause{10};

  // `path` is the worker's, `log` where its lines go; null: to the daemon's log.
  WorkerLines(loop::Loop& loop, std::string path, std::shared_ptr<NodeLog> log = nullptr);
  ~WorkerLines();  // logs what has come
  WorkerLines(const WorkerLines&) = delete;
  WorkerLines& operator=(const WorkerLines&) = delete;

  // Makes the socket, and returns the worker's end.
  [[nodiscard]] sys::Result<sys::Fd> open();
  // Reads what has come until now; bounded.
  void read_rest();
  [[nodiscard]] bool at_end() const noexcept { return !socket_; }
  // For another program to continue with, and its continuation there, in place of open().
  [[nodiscard]] LinesHandover hand_over() const;
  void resume(const LinesHandover& from);

 private:
  void watch(sys::Fd fd);
  void on_readable();
  void read_some(std::size_t limit);
  void end();
  void on_line(std::string_view line, bool cut);
  void on_text(std::string_view line, bool cut);
  void renew_budget();
  void flush();

  [[nodiscard]] log::Sink& sink() const noexcept { return log_ ? log_->sink() : log::own(); }
  [[nodiscard]] log::Place place() const noexcept { return {path_, sink()}; }

  loop::Loop& loop_;
  std::string path_;
  std::shared_ptr<NodeLog> log_;
  WatchedFd socket_;
  loop::Timer pause_;
  log::LineSplitter splitter_{log::kMaxLine - 1};
  std::string batch_;  // whole lines with their newlines, at most log::kMaxLine
  std::uint64_t lines_ = 0;
  log::OutputBudget budget_;
};

}  // namespace bulkhead::process
