#include "master/config/share.h"

#include <algorithm>
#include <charconv>

namespace bulkhead::config {

std::uint32_t share_of(Share share, std::uint32_t whole) {
  const std::uint64_t wanted = share.percent ? (std::uint64_t{share.amount} * whole + 99) / 100 : share.amount;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, 1, std::max(whole, 1U)));
}

std::optional<Share> parse_percentage(std::string_view text) {
  if (text.size() < 2 || text.size() > 4 || text.back() != '%' || text.front() == '0') return std::nullopt;
  text.remove_suffix(1);
  Share out{0, true};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.amount);
  if (error != std::errc() || end != text.data() + text.size() || out.amount > 100) return std::nullopt;
  return out;
}

}  // namespace bulkhead::config
