// From the bytes that a child writes to the lines that are logged: where a line ends, how long it may get, how
// many there may be. Pure: no descriptor, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::log {

// One stream's lines. The result does not depend on how the bytes were cut into pieces. A line that exceeds the limit
// is reported at once, not at its end, which may never come. Memory: at most twice `limit` bytes.
class LineSplitter {
 public:
  enum class Rest { dropped, continued };  // what becomes of a line beyond the limit

  // A line, or a part of a long one, without its newline. Where the rest is continued, no character of UTF-8 is torn.
  struct Piece {
    std::string_view text;   // valid until the next call
    bool cut = false;        // the line is longer, and its rest is dropped
    bool continued = false;  // it continues the piece before it
  };
  using OnLine = std::function<void(std::string_view line, bool cut)>;

  static constexpr std::size_t kLimit = 2048;  // bytes

  explicit LineSplitter(std::size_t limit = kLimit, Rest rest = Rest::dropped) : limit_(limit), rest_(rest) {}

  // Takes bytes from the front of `bytes` until a piece is complete; nothing: all are taken, and none is.
  [[nodiscard]] std::optional<Piece> next(std::string_view& bytes);
  // End of the stream: a last line that has no newline.
  [[nodiscard]] std::optional<Piece> last();
  // The same for all of them.
  void feed(std::string_view bytes, const OnLine& on_line);
  void finish(const OnLine& on_line);
  [[nodiscard]] bool empty() const noexcept { return line_.empty() && !in_long_; }

  // The incomplete line, to continue it in another process; `in_long`: it is the rest of a long line.
  [[nodiscard]] const std::string& line() const noexcept { return line_; }
  [[nodiscard]] bool in_long() const noexcept { return in_long_; }
  void resume(std::string_view line, bool in_long) {
    line_ = line.substr(0, limit_);
    in_long_ = in_long;
  }

 private:
  [[nodiscard]] bool drops() const noexcept { return in_long_ && rest_ == Rest::dropped; }
  [[nodiscard]] Piece whole();
  [[nodiscard]] Piece beginning();

  std::size_t limit_;
  Rest rest_;
  std::string line_;      // the incomplete line, or its last part
  std::string given_;     // the last piece
  bool in_long_ = false;  // a part of this line has been reported
};

// A child's share of the log and of the master's time, for both of its streams, in each second. The owner calls renew()
// when the second is over.
class OutputBudget {
 public:
  struct Limits {
    std::uint32_t lines = 100;
    std::size_t bytes = 8U << 20U;  // of input and log; beyond that the child's pipe fills, and it waits
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
