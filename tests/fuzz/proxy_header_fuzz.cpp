// Bytes as a PROXY header, all at once and in growing pieces: the verdict must not depend on how they arrived.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "worker/admission/proxy_header.h"

namespace {

using namespace bulkhead::admission;

void require(bool condition) {
  if (!condition) std::abort();
}

void require_inside(std::string_view part, std::string_view header) {
  if (part.data() == nullptr) return;
  require(part.data() >= header.data() && part.data() + part.size() <= header.data() + header.size());
}

void check_views(const ProxyHeader& header, std::string_view bytes) {
  const std::string_view whole = bytes.substr(0, header.size);
  const ProxyTls& tls = header.tls;
  for (const std::string_view part :
       {header.alpn, header.authority, header.unique_id, header.netns, tls.version, tls.common_name, tls.cipher,
        tls.signature_algorithm, tls.key_algorithm, tls.group, tls.signature_scheme, tls.client_certificate}) {
    require_inside(part, whole);
  }
  require(header.unique_id.size() <= 128);
}

ProxyResult parse_copy(std::string_view bytes, ProxyVersions accepted, ProxyHeader& header, std::vector<char>& copy) {
  copy.assign(bytes.begin(), bytes.end());  // its own allocation, so that reading past the end is detected
  return parse_proxy_header({copy.data(), copy.size()}, accepted, header);
}

void check(std::string_view bytes, ProxyVersions accepted) {
  std::vector<char> copy;
  ProxyHeader header;
  const ProxyResult whole = parse_copy(bytes, accepted, header, copy);
  const bool found = whole.verdict == ProxyVerdict::header;
  if (found) {
    require(header.size <= bytes.size() && header.size <= kMaxProxyHeader);
    require(header.version == 2 || (header.size <= kMaxProxyLine && bytes.substr(header.size - 2, 2) == "\r\n"));
    require(header.source.family == header.destination.family || header.source.family != 0);
    check_views(header, {copy.data(), copy.size()});
  }
  const std::size_t size = header.size;
  bool decided = false;
  for (std::size_t length = 0; length < bytes.size(); length += length < 2 * kMaxProxyLine ? 1 : 23) {
    const ProxyResult part = parse_copy(bytes.substr(0, length), accepted, header, copy);
    if (part.verdict == ProxyVerdict::need_more) {
      require(!decided && (!found || length < size));
    } else {
      require(part.verdict == whole.verdict && (!found || header.size == size));
      require(!found || length >= size);
      decided = true;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto accepted = static_cast<ProxyVersions>(data[0] % 3 + 1);
  check({reinterpret_cast<const char*>(data) + 1, size - 1}, accepted);
  return 0;
}
