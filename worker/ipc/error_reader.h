// Reads one error pair and names the senders: a sender is a connection's first process, or of its session (getsid(2)).
// A process that has left the session, or was reaped before its first write is read, stays without a name, and never
// gets a wrong one. One that has ended before its second write is read is still known for kMemory, far less than it
// takes for a pid to be used again. The owner of the loop watches the descriptor and calls turn().
//
// Cost: at most kTurn writes a call, so that the loop's other work does not wait for long; and at most kSliceWrites and
// kSliceBytes a slice of time, so that programs that write without end cost a part of a processor, not all of it: they
// wait for the next slice.
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

  // The connection whose first process is `leader`, if any.
  using Find = std::function<std::optional<Origin>(pid_t leader)>;

  // `read_end` stays the caller's.
  ErrorReader(int read_end, std::string listener, std::uint32_t lines_per_second, Find find,
              ConnectionOutput::Log log = {});

  // True: enough for this slice; stop watching, and come back after kSlice.
  [[nodiscard]] bool turn(std::int64_t now_ns);
  // Reads all that is queued now. Called before a process is reaped, because until then its session has a name.
  void drain(std::int64_t now_ns);
  void tick(std::int64_t now_ns);
  [[nodiscard]] ConnectionOutput& output() noexcept { return output_; }

 private:
  [[nodiscard]] bool read_one(std::int64_t now_ns);
  [[nodiscard]] Origin origin_of(pid_t sender, std::int64_t now_ns);

  // The last writer among the pids with the same remainder.
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
