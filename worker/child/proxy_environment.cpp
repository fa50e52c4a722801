#include <cstring>

#include "worker/admission/proxy_header.h"
#include "worker/child/environment.h"
#include "worker/child/printable.h"

namespace bulkhead::child {

void Environment::add_printable(std::string_view name, std::string_view bytes) noexcept {
  char value[kLongestClaim + 1];
  if (printable(bytes, value, sizeof value)) add(name, value);
}

void Environment::add_real(std::string_view name, const ipc::Peer& end, std::string_view path) noexcept {
  constexpr std::string_view kUnix = "unix:";
  char value[128];
  if (path.empty() || end.family != AF_UNIX || path.size() > sizeof value - kUnix.size()) {
    add(name, ipc::PeerText(end).view());
    return;
  }
  std::memcpy(value, kUnix.data(), kUnix.size());
  std::memcpy(value + kUnix.size(), path.data(), path.size());
  add(name, {value, kUnix.size() + path.size()});
}

void Environment::add_proxy(const ConnectionFacts& facts) noexcept {
  admission::ProxyHeader header;
  if (admission::parse_proxy_header(facts.proxy.header, admission::ProxyVersions::any, header).verdict !=
      admission::ProxyVerdict::header) {
    return;
  }
  add_real("BULKHEAD_REAL_PEER", facts.proxy.peer, {});
  add_real("BULKHEAD_REAL_LOCAL", facts.proxy.local, facts.local_path);
  add("BULKHEAD_PROXY_VERSION", static_cast<std::uint32_t>(header.version));
  add_printable("BULKHEAD_PROXY_UNIQUE_ID", header.unique_id);
  add_printable("BULKHEAD_PROXY_AUTHORITY", header.authority);
  add_printable("BULKHEAD_PROXY_ALPN", header.alpn);
  const admission::ProxyTls& tls = header.tls;
  if (!tls.present) return;
  add_printable("SSL_PROTOCOL", tls.version);
  add_printable("SSL_CIPHER", tls.cipher);
  add_printable("SSL_TLS_SNI_SERVERNAME", header.authority);
  // A name that the balancer has not verified is the client's word, not a name.
  if (tls.verified) add_printable("SSL_PEER_CERT_CN", tls.common_name);
}

}  // namespace bulkhead::child
