// Builders for PROXY headers, right and wrong ones.
#pragma once

#include <cstdint>
#include <string>

#include "worker/admission/crc32c.h"

namespace bulkhead::admission::testing {

using namespace std::string_literals;

inline const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
inline const std::string kInet =
    "\xc0\x00\x02\x07\xc6\x33\x64\x01\xdb\xbc\x01\xbb"s;  // 192.0.2.7:56252 → 198.51.100.1:443

inline std::string big16(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 255)};
}
inline std::string tlv(int type, const std::string& value) {
  return static_cast<char>(type) + big16(value.size()) + value;
}
// `command` is byte 13, `family` byte 14.
inline std::string v2(int command, int family, const std::string& rest) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + big16(rest.size()) + rest;
}
inline std::string v2_inet(const std::string& values = "") {
  return v2(0x21, 0x11, kInet + values);
}
inline std::string big32(std::uint32_t value) {
  return big16(value >> 16) + big16(value & 0xffff);
}
// With a checksum that holds, at the end.
inline std::string v2_inet_summed(const std::string& values = "") {
  std::string header = v2_inet(values + tlv(0x03, "\0\0\0\0"s));
  header.replace(header.size() - 4, 4, big32(Crc32c().add(header).value()));
  return header;
}
inline std::string tls(int client, std::uint32_t verify, const std::string& values) {
  return tlv(0x20, static_cast<char>(client) + big32(verify) + values);
}

}  // namespace bulkhead::admission::testing
