// From the bytes that a child writes to the lines that are logged: where a line ends, how long it may get, how
// many there may be. Pure: no descriptor, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bulkhead::log {

// One stream's lines. The result does not depend on how the bytes were cut into pieces. Memory: at most `limit` bytes.
class LineSplitter {
 public:
  // Without its newline; valid during the call. `cut`: the line is longer, and its rest is dropped.
  using OnLine = std::function<void(std::string_view line, bool cut)>;

  static constexpr std::size_t kLimit = 2048;  // bytes

  explicit LineSplitter(std::size_t limit = kLimit) : limit_(limit) {}

  // A line that exceeds the limit is reported at once, not at its end, which may never come.
  void feed(std::string_view bytes, const OnLine& on_line);
  // End of the stream: a last line that has no newline.
  void finish(const OnLine& on_line);
  [[nodiscard]] bool empty() const noexcept { return line_.empty() && !dropping_; }

  // The incomplete line, to continue it in another process; `dropping`: the rest of a cut line will follow.
  [[nodiscard]] const std::string& line() const noexcept { return line_; }
  [[nodiscard]] bool dropping() const noexcept { return dropping_; }
  void resume(std::string_view line, bool dropping) {
    line_ = line.substr(0, limit_);
    dropping_ = dropping;
  }

 private:
  void extend(std::string_view piece, const OnLine& on_line);

  std::size_t limit_;
  std::string line_;       // the incomplete line
  bool dropping_ = false;  // inside the rest of a cut line
};

// A child's share of the log and of the master's time, for both of its streams, in each second. The owner calls renew()
// when the second is over.
class OutputBudget {
 public:
  struct Limits {
    std::uint32_t lines = 100;
    std::size_t bytes = 4U << 20U;  // read; beyond that the child's pipe fills, and it waits
  };

  OutputBudget() = default;
  explicit OutputBudget(Limits limits) : limits_(limits) {}

  // False: the line is not to be logged, and is counted.
  [[nodiscard]] bool take_line() noexcept;
  void take_bytes(std::size_t count) noexcept { bytes_ += count; }
  [[nodiscard]] bool bytes_left() const noexcept { return bytes_ < limits_.bytes; }
  // A new second. Returns how many lines the last one suppressed.
  std::uint64_t renew() noexcept;
  // The same once a second of the caller's clock; 0 while the second lasts.
  std::uint64_t renew_each_second(std::int64_t now_ns) noexcept;
  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

 private:
  Limits limits_;
  std::uint32_t lines_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t suppressed_ = 0;
  std::int64_t second_end_ns_ = 0;
};

}  // namespace bulkhead::log
