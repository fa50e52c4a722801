#include "master/config/network.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "master/config/json_value.h"

namespace bulkhead::config {
namespace {

using AddressBytes = std::array<std::uint8_t, 16>;

constexpr AddressBytes kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::uint32_t kMappedBits = 96;

// Every address as IPv6, with IPv4 as mapped addresses, until the end.
struct Raw {
  AddressBytes bytes{};
  std::uint32_t length = 128;
};

bool is_mapped(const Raw& raw) {
  return raw.length >= kMappedBits && std::memcmp(raw.bytes.data(), kMapped.data(), 12) == 0;
}

std::string text_of(const Raw& raw) {
  const bool v4 = is_mapped(raw);
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(v4 ? AF_INET : AF_INET6, raw.bytes.data() + (v4 ? 12 : 0), out.data(), out.size());
  return fmt::format("{}/{}", out.data(), v4 ? raw.length - kMappedBits : raw.length);
}

// Clears the bits beyond the prefix. True: some were set.
bool clear_host_bits(Raw& raw) {
  bool any = false;
  for (std::uint32_t bit = raw.length; bit < 128; ++bit) {
    std::uint8_t& byte = raw.bytes[bit / 8];
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    any = any || (byte & mask) != 0;
    byte = static_cast<std::uint8_t>(byte & ~mask);
  }
  return any;
}

std::optional<std::uint32_t> parse_length(std::string_view text, std::uint32_t most) {
  std::uint32_t length = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), length);
  const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
  if (!whole || length > most || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return length;
}

std::uint64_t word(const AddressBytes& bytes, std::size_t first) {
  std::uint64_t out = 0;
  for (std::size_t i = first; i < first + 8; ++i) out = out << 8U | bytes[i];
  return out;
}

Network finish(const Raw& raw) {
  Network out;
  out.text = text_of(raw);
  out.v6 = !is_mapped(raw);
  out.length = out.v6 ? raw.length : raw.length - kMappedBits;
  out.high = out.v6 ? word(raw.bytes, 0) : 0;
  out.low = out.v6 ? word(raw.bytes, 8) : word(raw.bytes, 8) & 0xffffffffU;
  return out;
}

}  // namespace

std::variant<Network, std::string> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Raw raw;
  const bool one_word = address.find('\0') == std::string::npos;
  const bool v4 = one_word && inet_pton(AF_INET, address.c_str(), raw.bytes.data() + 12) == 1;
  if (v4) std::memcpy(raw.bytes.data(), kMapped.data(), 12);
  if (!v4 && (!one_word || inet_pton(AF_INET6, address.c_str(), raw.bytes.data()) != 1)) {
    return fmt::format("expected a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", got {}", in_quotes(text));
  }
  const std::uint32_t most = v4 ? 32 : 128;
  if (slash != std::string_view::npos) {
    const auto length = parse_length(text.substr(slash + 1), most);
    if (!length) {
      return fmt::format("expected a prefix length from 0 to {} after the \"/\", got {}", most,
                         in_quotes(text.substr(slash + 1)));
    }
    raw.length = v4 ? *length + kMappedBits : *length;
  }
  if (clear_host_bits(raw)) {
    return fmt::format("{} has bits beyond its prefix; the network is \"{}\"", in_quotes(text), text_of(raw));
  }
  return finish(raw);
}

}  // namespace bulkhead::config
