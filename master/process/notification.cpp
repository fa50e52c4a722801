#include "master/process/notification.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace bulkhead::process {

namespace {

constexpr std::chrono::microseconds kMaxExtension = std::chrono::hours(1);

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxStatus));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

std::optional<std::chrono::microseconds> microseconds(std::string_view digits) {
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  if (rest != end || digits.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return kMaxExtension;
  if (error != std::errc{}) return std::nullopt;
  const auto limit = static_cast<std::uint64_t>(kMaxExtension.count());
  return std::chrono::microseconds(static_cast<std::int64_t>(std::min(value, limit)));
}

void read_variable(std::string_view line, Notification& out) {
  const auto value_of = [line](std::string_view name) -> std::optional<std::string_view> {
    if (!line.starts_with(name)) return std::nullopt;
    return line.substr(name.size());
  };
  if (line == "READY=1") out.ready = true;
  if (line == "STOPPING=1") out.stopping = true;
  if (line == "WATCHDOG=1") out.watchdog = true;
  if (const auto text = value_of("STATUS="); text && !out.status) out.status = printable(*text);
  if (const auto span = value_of("EXTEND_TIMEOUT_USEC="); span && !out.extend_timeout) {
    out.extend_timeout = microseconds(*span);
  }
}

}  // namespace

Notification parse_notification(std::string_view message) {
  Notification out;
  if (message.ends_with('\0')) message.remove_suffix(1);
  if (message.find('\0') != std::string_view::npos) return out;
  while (!message.empty()) {
    const std::size_t end = message.find('\n');
    read_variable(message.substr(0, end), out);
    message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
  }
  return out;
}

}  // namespace bulkhead::process
