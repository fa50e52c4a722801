#include "worker/admission/proxy_header.h"

#include <algorithm>

#include "worker/admission/proxy_version.h"

namespace bulkhead::admission {

namespace {

// Whether the bytes that have arrived are the beginning of `signature`, or begin with it.
bool matches(std::string_view bytes, std::string_view signature) noexcept {
  const std::size_t length = std::min(bytes.size(), signature.size());
  return bytes.substr(0, length) == signature.substr(0, length);
}

bool has(ProxyVersions accepted, ProxyVersions version) noexcept {
  return (static_cast<unsigned>(accepted) & static_cast<unsigned>(version)) != 0;
}

}  // namespace

ProxyAddress proxy_address(int family, std::string_view bytes, std::uint16_t port) noexcept {
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  ProxyAddress address;
  const bool mapped = family == 6 && bytes.substr(0, kMapped.size()) == kMapped;
  if (mapped) bytes.remove_prefix(kMapped.size());
  address.family = family == 4 || mapped ? 4 : 6;
  address.port = port;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address;
}

ProxyResult parse_proxy_header(std::string_view bytes, ProxyVersions accepted, ProxyHeader& header) noexcept {
  if (bytes.empty()) return {};
  const bool first = matches(bytes, kProxySignature1);
  if (!first && !matches(bytes, kProxySignature2)) return {ProxyVerdict::invalid, "no PROXY signature"};
  if (!has(accepted, first ? ProxyVersions::v1 : ProxyVersions::v2)) {
    return {ProxyVerdict::invalid,
            first ? "version 1 is not what is configured" : "version 2 is not what is configured"};
  }
  header = {};
  const ProxyResult result = first ? parse_proxy_line(bytes, header) : parse_proxy_block(bytes, header);
  if (result.verdict != ProxyVerdict::header) header = {};
  return result;
}

}  // namespace bulkhead::admission
