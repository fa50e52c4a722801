#include "master/config/size.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace bulkhead::config {

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 4> kUnits{
      {{"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30}, {"T", 1ULL << 40}}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || (digits > 1 && text[0] == '0')) return std::nullopt;
  const auto* const unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& u) { return u.first == text.substr(digits); });
  if (unit == kUnits.end()) return std::nullopt;
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() / unit->second;
  std::uint64_t count = 0;
  const auto result = std::from_chars(text.data(), text.data() + digits, count);
  if (result.ec == std::errc::result_out_of_range || count > most) count = most;
  return count * unit->second;
}

}  // namespace bulkhead::config
