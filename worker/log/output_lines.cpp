#include "worker/log/output_lines.h"

#include <utility>

namespace bulkhead::log {

void LineSplitter::feed(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    extend(bytes.substr(0, end), on_line);
    if (end == std::string_view::npos) return;
    if (!dropping_) on_line(line_, false);
    line_.clear();
    dropping_ = false;
    bytes.remove_prefix(end + 1);
  }
}

void LineSplitter::extend(std::string_view piece, const OnLine& on_line) {
  if (dropping_) return;
  const std::size_t room = limit_ - line_.size();
  line_ += piece.substr(0, room);
  if (piece.size() <= room) return;
  on_line(line_, true);
  line_.clear();
  dropping_ = true;
}

void LineSplitter::finish(const OnLine& on_line) {
  if (!line_.empty()) on_line(line_, false);
  line_.clear();
  dropping_ = false;
}

bool OutputBudget::take_line() noexcept {
  if (lines_ < limits_.lines) {
    ++lines_;
    return true;
  }
  ++suppressed_;
  return false;
}

std::uint64_t OutputBudget::renew() noexcept {
  lines_ = 0;
  bytes_ = 0;
  return std::exchange(suppressed_, 0);
}

std::uint64_t OutputBudget::renew_each_second(std::int64_t now_ns) noexcept {
  if (now_ns < second_end_ns_) return 0;
  second_end_ns_ = now_ns + 1'000'000'000;
  return renew();
}

}  // namespace bulkhead::log
