// The PROXY protocol's header, versions 1 and 2, as a receiver has to read it (HAProxy, doc/proxy-protocol.txt): the
// balancer in front of us says who the client is, before the first byte of the client's own. Pure, and incremental: it
// is given all bytes that have arrived so far and says whether they hold a complete header, can still become one, or
// cannot.
//
// The header ends where it says; bytes after it are the application's and are not looked at. While the verdict is
// `need_more`, every byte given belongs to the header, so a reader may take them out of the socket.
//
// Strict: what the specification does not allow is rejected as soon as that is certain. Nothing is allocated or
// copied; all views point into the bytes given.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::admission {

// Longest header that is read at all. The specification's own are at most 536 bytes; a client's certificate needs more.
inline constexpr std::size_t kMaxProxyHeader = 4096;
inline constexpr std::size_t kMaxProxyLine = 107;  // version 1, CRLF included

enum class ProxyVersions : std::uint8_t { v1 = 1, v2 = 2, any = 3 };

// IPv4-mapped IPv6 addresses are IPv4 here.
struct ProxyAddress {
  std::uint8_t family = 0;  // 4 or 6; 0: none
  std::uint16_t port = 0;
  std::array<std::uint8_t, 16> bytes{};  // network order; the first 4 for IPv4
};

// Type 0x20: the client spoke TLS to the balancer. Texts are the balancer's, unchecked.
struct ProxyTls {
  bool present = false;      // PP2_CLIENT_SSL
  bool certificate = false;  // the client showed one, on this connection or earlier in its session
  bool verified = false;     // and the balancer found it good
  std::string_view version;
  std::string_view common_name;
  std::string_view cipher;
  std::string_view signature_algorithm;
  std::string_view key_algorithm;
  std::string_view group;
  std::string_view signature_scheme;
  std::string_view client_certificate;  // DER
};

struct ProxyHeader {
  std::size_t size = 0;  // bytes, from the first
  int version = 0;
  bool local = false;  // the balancer's own connection (a health check): the real endpoints are the client's
  // Neither is there with LOCAL, UNKNOWN, or a family or transport that is not TCP: the real endpoints hold.
  ProxyAddress source;
  ProxyAddress destination;
  // data() is null if the field is absent. The bytes may have any value.
  std::string_view alpn;
  std::string_view authority;
  std::string_view unique_id;
  std::string_view netns;
  ProxyTls tls;
};

enum class ProxyVerdict : std::uint8_t { need_more, header, invalid };

struct ProxyResult {
  ProxyVerdict verdict = ProxyVerdict::need_more;
  const char* reason = "";  // invalid: what is wrong, a few words; static storage
};

// `header` is filled in on ProxyVerdict::header only.
[[nodiscard]] ProxyResult parse_proxy_header(std::string_view bytes, ProxyVersions accepted,
                                             ProxyHeader& header) noexcept;

}  // namespace bulkhead::admission
