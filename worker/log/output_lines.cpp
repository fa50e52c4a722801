#include "worker/log/output_lines.h"

#include <algorithm>
#include <utility>

#include "worker/log/utf8.h"

namespace bulkhead::log {

std::optional<LineSplitter::Piece> LineSplitter::next(std::string_view& bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    const std::size_t room = limit_ - line_.size();
    if (!drops() && part.size() > room) {
      line_ += part.substr(0, room);
      bytes.remove_prefix(room);
      return beginning();
    }
    if (!drops()) line_ += part;
    bytes.remove_prefix(std::min(bytes.size(), part.size() + 1));
    if (end == std::string_view::npos) return std::nullopt;
    if (!drops()) return whole();
    in_long_ = false;
  }
  return std::nullopt;
}

std::optional<LineSplitter::Piece> LineSplitter::last() {
  if (!line_.empty()) return whole();
  in_long_ = false;
  return std::nullopt;
}

LineSplitter::Piece LineSplitter::whole() {
  given_.swap(line_);
  line_.clear();
  return {given_, false, std::exchange(in_long_, false)};
}

LineSplitter::Piece LineSplitter::beginning() {
  given_.swap(line_);
  line_.clear();
  const bool continued = std::exchange(in_long_, true);
  if (rest_ == Rest::dropped) return {given_, true, false};
  const std::size_t length = whole_characters(given_);
  line_ = given_.substr(length);
  return {std::string_view(given_).substr(0, length), false, continued};
}

void LineSplitter::feed(std::string_view bytes, const OnLine& on_line) {
  while (const auto piece = next(bytes)) on_line(piece->text, piece->cut);
}

void LineSplitter::finish(const OnLine& on_line) {
  if (const auto piece = last()) on_line(piece->text, piece->cut);
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
