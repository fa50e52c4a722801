#include "master/config/duration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace bulkhead::config {

std::optional<supervision::Duration> parse_duration(std::string_view text) {
  using supervision::Duration;
  constexpr std::array<std::pair<std::string_view, Duration>, 4> kUnits{{{"ms", std::chrono::milliseconds(1)},
                                                                         {"s", std::chrono::seconds(1)},
                                                                         {"m", std::chrono::minutes(1)},
                                                                         {"h", std::chrono::hours(1)}}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  // "05s" is refused like 05 in JSON, because some readers take it for octal.
  if (digits == 0 || (digits > 1 && text[0] == '0')) return std::nullopt;
  const auto* const unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& u) { return u.first == text.substr(digits); });
  if (unit == kUnits.end()) return std::nullopt;
  const std::int64_t most = Duration::max() / unit->second;
  std::int64_t count = 0;
  const auto result = std::from_chars(text.data(), text.data() + digits, count);
  if (result.ec == std::errc::result_out_of_range || count > most) count = most;
  return count * unit->second;
}

}  // namespace bulkhead::config
