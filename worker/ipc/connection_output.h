// Turns what connections' programs write to their standard error into lines of the log, each with its connection:
//
//   … info root/ftp: cannot open data: No such file or directory connection=2f00000003 peer=192.0.2.7:5000 pid=812 …
//
// The same in both readers: the worker, or the master for connections without one. Bounds: a line is cut at 2 KiB with
// "..."; of each connection so many lines a second are logged, and the number of the others is; at most kMaxSources
// connections are remembered at a time, and one more replaces the one that was silent longest. Escaping is the log's.
// Time is injected.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/ipc/peer.h"
#include "worker/log/log.h"
#include "worker/log/output_lines.h"

namespace bulkhead::ipc {

// The writer. Without a leader it is a process that left its connection's session, or had ended before it could be
// looked up.
struct Origin {
  pid_t leader = 0;      // the connection's first process
  std::uint64_t id = 0;  // the connection's
  Peer peer;
};

class ConnectionOutput {
 public:
  static constexpr std::size_t kMaxSources = 256;

  using Log = std::function<log::Sink&()>;
  // `lines_per_second` 0: unlimited. `log` says where the lines go at the moment; empty: to the process's own log.
  ConnectionOutput(std::string listener, std::uint32_t lines_per_second, Log log = {});

  void set_rate(std::uint32_t lines_per_second);  // for connections that write for the first time from now on
  void take(const Origin& origin, pid_t sender, std::string_view bytes, std::int64_t now_ns);
  // The connection is over: logs a last line that has no newline, and how many lines were suppressed.
  void end(std::uint64_t id);
  // Once a second. Ends the connections for which `lives` returns false.
  void tick(std::int64_t now_ns, const std::function<bool(const Origin&)>& lives);
  // Another process reads from now on: ends all.
  void end_all();

  // Called with every line, logged or suppressed.
  using OnLine = std::function<void(const Origin&, std::string_view line)>;
  void watch(OnLine on_line) { on_line_ = std::move(on_line); }

  [[nodiscard]] std::size_t sources() const noexcept { return sources_.size(); }

 private:
  struct Source {
    Origin origin;
    pid_t sender;
    log::LineSplitter lines;
    log::OutputBudget budget;
    std::int64_t second_began_ns;
    std::int64_t heard_ns;
  };
  [[nodiscard]] Source& source_of(const Origin& origin, pid_t sender, std::int64_t now_ns);
  void log_line(Source& source, std::string_view line, bool cut);
  void begin_second(Source& source, std::int64_t now_ns);
  void finish(Source& source);

  [[nodiscard]] log::Place place() const { return {listener_, log_ ? log_() : log::own()}; }

  std::string listener_;
  Log log_;
  log::OutputBudget::Limits limits_;
  std::vector<Source> sources_;
  OnLine on_line_;
};

}  // namespace bulkhead::ipc
