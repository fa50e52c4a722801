// Version 2: signature, version and command, family and transport, length; then addresses, then type-length-values.
#include <cstdint>

#include "worker/admission/crc32c.h"
#include "worker/admission/proxy_version.h"

namespace bulkhead::admission {

namespace {

constexpr std::size_t kFixed = 16;
constexpr std::size_t kMaxUniqueId = 128;
constexpr std::size_t kChecksum = 4;
constexpr unsigned kInet = 1;
constexpr unsigned kInet6 = 2;
constexpr std::size_t kAddressSizes[] = {0, 12, 36, 216};  // by family: UNSPEC, INET, INET6, UNIX
constexpr unsigned kStream = 1;
constexpr unsigned kTransports = 3;  // UNSPEC, STREAM, DGRAM

enum Type : std::uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kUniqueId = 0x05,
  kSsl = 0x20,
  kSslVersion = 0x21,
  kSslCommonName = 0x22,
  kSslCipher = 0x23,
  kSslSignatureAlgorithm = 0x24,
  kSslKeyAlgorithm = 0x25,
  kSslGroup = 0x26,
  kSslSignatureScheme = 0x27,
  kSslClientCertificate = 0x28,
  kNetns = 0x30
};

constexpr const char* kOverrun = "a type-length-value longer than the header";

unsigned byte(std::string_view bytes, std::size_t at) noexcept {
  return static_cast<std::uint8_t>(bytes[at]);
}
unsigned half(std::string_view bytes, std::size_t at) noexcept {
  return byte(bytes, at) << 8 | byte(bytes, at + 1);
}

// Calls `take(type, value)` for each; a reason it returns, or that of an overrun, ends the walk. Null: all is well.
template <class Take>
const char* for_each_value(std::string_view rest, Take take) noexcept {
  while (!rest.empty()) {
    if (rest.size() < 3) return kOverrun;
    const std::size_t length = half(rest, 1);
    if (length > rest.size() - 3) return kOverrun;
    if (const char* reason = take(byte(rest, 0), rest.substr(3, length))) return reason;
    rest.remove_prefix(3 + length);
  }
  return nullptr;
}

// Over the whole header, with the four bytes of the checksum as zeros.
bool checksum_holds(std::string_view header, std::string_view checksum) noexcept {
  const auto at = static_cast<std::size_t>(checksum.data() - header.data());
  const std::uint32_t wanted = half(checksum, 0) << 16 | half(checksum, 2);
  Crc32c crc;
  crc.add(header.substr(0, at)).add(std::string_view("\0\0\0\0", kChecksum)).add(header.substr(at + kChecksum));
  return crc.value() == wanted;
}

const char* read_tls(std::string_view value, ProxyTls& tls) noexcept {
  if (value.size() < 5) return "a TLS description that is too short";
  const unsigned client = byte(value, 0);
  tls.present = (client & 1) != 0;
  tls.certificate = (client & 6) != 0;
  tls.verified = tls.certificate && value.substr(1, 4) == std::string_view("\0\0\0\0", 4);
  return for_each_value(value.substr(5), [&tls](unsigned type, std::string_view text) -> const char* {
    switch (type) {
      case kSslVersion: tls.version = text; break;
      case kSslCommonName: tls.common_name = text; break;
      case kSslCipher: tls.cipher = text; break;
      case kSslSignatureAlgorithm: tls.signature_algorithm = text; break;
      case kSslKeyAlgorithm: tls.key_algorithm = text; break;
      case kSslGroup: tls.group = text; break;
      case kSslSignatureScheme: tls.signature_scheme = text; break;
      case kSslClientCertificate: tls.client_certificate = text; break;
      default: break;
    }
    return nullptr;
  });
}

// `whole` is the header, `values` its tail.
const char* read_values(std::string_view whole, std::string_view values, ProxyHeader& header) noexcept {
  bool summed = false;
  return for_each_value(values, [&](unsigned type, std::string_view value) -> const char* {
    switch (type) {
      case kAlpn: header.alpn = value; break;
      case kAuthority: header.authority = value; break;
      case kNetns: header.netns = value; break;
      case kSsl: return read_tls(value, header.tls);
      case kUniqueId:
        if (value.size() > kMaxUniqueId) return "a unique id longer than 128 bytes";
        header.unique_id = value;
        break;
      case kCrc32c:
        if (value.size() != kChecksum || summed) return "a malformed checksum";
        if (!checksum_holds(whole, value)) return "a wrong checksum";
        summed = true;
        break;
      default: break;
    }
    return nullptr;
  });
}

void read_addresses(std::string_view bytes, unsigned family, ProxyHeader& header) noexcept {
  const std::size_t size = family == kInet ? 4 : 16;
  const auto port = [&](std::size_t at) { return static_cast<std::uint16_t>(half(bytes, at)); };
  const int kind = family == kInet ? 4 : 6;
  header.source = proxy_address(kind, bytes.substr(0, size), port(2 * size));
  header.destination = proxy_address(kind, bytes.substr(size, size), port(2 * size + 2));
}

// The fixed part, as far as it is here: what is wrong with it, or null.
const char* check_fixed(std::string_view bytes) noexcept {
  if (bytes.size() > 12 && byte(bytes, 12) >> 4 != 2) return "unknown version";
  if (bytes.size() > 12 && (byte(bytes, 12) & 15) > 1) return "unknown command";
  // With LOCAL everything that follows is to be ignored, but for the length.
  const bool local = bytes.size() > 12 && (byte(bytes, 12) & 15) == 0;
  if (bytes.size() > 13 && !local) {
    if (byte(bytes, 13) >> 4 >= std::size(kAddressSizes)) return "unknown address family";
    if ((byte(bytes, 13) & 15) >= kTransports) return "unknown transport";
  }
  if (bytes.size() < kFixed) return nullptr;
  if (kFixed + half(bytes, 14) > kMaxProxyHeader) return "a header longer than 4096 bytes";
  if (!local && half(bytes, 14) < kAddressSizes[byte(bytes, 13) >> 4]) return "too short for its addresses";
  return nullptr;
}

}  // namespace

ProxyResult parse_proxy_block(std::string_view bytes, ProxyHeader& header) noexcept {
  if (const char* reason = check_fixed(bytes)) return {ProxyVerdict::invalid, reason};
  if (bytes.size() < kFixed || bytes.size() < kFixed + half(bytes, 14)) return {};
  const std::string_view whole = bytes.substr(0, kFixed + half(bytes, 14));
  header.version = 2;
  header.size = whole.size();
  header.local = (byte(whole, 12) & 15) == 0;
  if (header.local) return {ProxyVerdict::header, ""};
  const unsigned family = byte(whole, 13) >> 4;
  const bool stream = (byte(whole, 13) & 15) == kStream;
  if (stream && (family == kInet || family == kInet6)) read_addresses(whole.substr(kFixed), family, header);
  const char* reason = read_values(whole, whole.substr(kFixed + kAddressSizes[family]), header);
  if (reason == nullptr) return {ProxyVerdict::header, ""};
  // An unspecified family may have addresses of any shape before the values: what does not parse there is skipped.
  if (family != 0 || reason != kOverrun) return {ProxyVerdict::invalid, reason};
  header = {};
  header.version = 2;
  header.size = whole.size();
  return {ProxyVerdict::header, ""};
}

}  // namespace bulkhead::admission
