// Version 1: "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n".
#include <cstdint>

#include "worker/admission/address_text.h"
#include "worker/admission/proxy_version.h"

namespace bulkhead::admission {

namespace {

constexpr ProxyResult invalid(const char* reason) noexcept {
  return {ProxyVerdict::invalid, reason};
}

// Takes the next word and the one space after it; the last word is what is left.
std::string_view take_word(std::string_view& rest) noexcept {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : word.size());
  return word;
}

bool read_address(std::string_view text, int family, ProxyAddress& out) noexcept {
  std::uint8_t bytes[16];
  const std::size_t length = family == 4 ? 4 : 16;
  if (!(family == 4 ? parse_ipv4(text, bytes) : parse_ipv6(text, bytes))) return false;
  out = proxy_address(family, {reinterpret_cast<const char*>(bytes), length}, 0);
  return true;
}

bool read_port(std::string_view text, ProxyAddress& out) noexcept {
  const auto port = parse_decimal(text, 65535);
  if (port) out.port = static_cast<std::uint16_t>(*port);
  return port.has_value();
}

ProxyResult read_words(std::string_view words, ProxyHeader& header) noexcept {
  const std::string_view protocol = take_word(words);
  // The specification says to ignore the rest of an UNKNOWN line.
  if (protocol == "UNKNOWN") return {ProxyVerdict::header, ""};
  if (protocol != "TCP4" && protocol != "TCP6") return invalid("unknown protocol");
  const int family = protocol == "TCP4" ? 4 : 6;
  if (!read_address(take_word(words), family, header.source)) return invalid("bad source address");
  if (!read_address(take_word(words), family, header.destination)) return invalid("bad destination address");
  if (!read_port(take_word(words), header.source)) return invalid("bad source port");
  if (!read_port(words, header.destination)) return invalid("bad destination port");
  return {ProxyVerdict::header, ""};
}

}  // namespace

ProxyResult parse_proxy_line(std::string_view bytes, ProxyHeader& header) noexcept {
  const std::size_t end = bytes.substr(0, kMaxProxyLine).find_first_of("\r\n");
  if (end == std::string_view::npos || end == kMaxProxyLine - 1) {
    if (bytes.size() < kMaxProxyLine - 1) return {};
    return invalid("no CRLF within 107 bytes");
  }
  if (bytes[end] == '\n') return invalid("a line feed without a carriage return");
  if (end + 1 == bytes.size()) return {};
  if (bytes[end + 1] != '\n') return invalid("a carriage return without a line feed");
  header.version = 1;
  header.size = end + 2;
  std::string_view words = bytes.substr(0, end);
  words.remove_prefix(kProxySignature1.size());
  return read_words(words, header);
}

}  // namespace bulkhead::admission
