// Reads one error pair and names the senders: a sender is a connection's first process, or of its session (getsid(2));
// what has left the session, or is gone and reaped before it is looked at for the first time, stays without a name, and
// is never given a wrong one. One that is gone by its second write is still known for kMemory, far less than it takes
// for a pid to come back. Whoever owns the loop watches the descriptor and calls.
//
// Cost: at most kTurn writes at one call, so that nobody else waits for long; and of one slice of time at most
// kSliceWrites and kSliceBytes, so that programs that write without end cost a part of a processor, not all of it: then
// they wait.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "worker/ipc/connection_output.h"

namespace bulkhead::ipc {

class ErrorReader {
 public:
  static constexpr int kTurn = 64;
  static constexpr std::chrono::milliseconds kSlice{100};
  static constexpr std::uint32_t kSliceWrites = 20'000;
  static constexpr std::size_t kSliceBytes = 32U << 20U;
  static constexpr std::chrono::milliseconds kMemory{1000};

  // The connection whose first process that is, if it is one.
  using Find = std::function<std::optional<Origin>(pid_t leader)>;

  // `read_end` stays the caller's.
  ErrorReader(int read_end, std::string listener, std::uint32_t lines_per_second, Find find);

  // True: enough for this slice; stop watching, and come back after kSlice.
  [[nodiscard]] bool turn(std::int64_t now_ns);
  // What lies there now, at most what the kernel queues. Before a process is reaped: so long its session has a name.
  void drain(std::int64_t now_ns);
  void tick(std::int64_t now_ns);
  [[nodiscard]] ConnectionOutput& output() noexcept { return output_; }

 private:
  [[nodiscard]] bool read_one(std::int64_t now_ns);
  [[nodiscard]] Origin origin_of(pid_t sender, std::int64_t now_ns);

  // Who wrote last of all whose pids leave the same remainder.
  struct Known {
    pid_t sender = 0;
    std::int64_t at_ns = 0;
    Origin origin;
  };

  int read_end_;
  Find find_;
  ConnectionOutput output_;
  std::unique_ptr<char[]> buffer_;
  std::array<Known, 32> known_{};
  std::int64_t slice_began_ns_ = 0;
  std::uint32_t writes_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace bulkhead::ipc
