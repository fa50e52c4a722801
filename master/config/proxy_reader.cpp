#include "master/config/proxy_reader.h"

#include "master/config/admission_reader.h"

namespace bulkhead::config {

void set_handshake_timeout(Context&, Node& node, const Entry& entry) {
  node.listener->handshake_timeout = as_duration(entry.value);
}

void set_proxy_protocol(Context&, Node& node, const Entry& entry) {
  node.listener->proxy.protocol = as_enum<ProxyProtocol>(entry);
}

void set_proxy_allow_from(Context& context, Node& node, const Entry& entry) {
  node.listener->proxy.allow_from = read_networks(context, entry);
}

void set_proxy_timeout(Context&, Node& node, const Entry& entry) {
  const Member* other = entry.section.object.find("handshake_timeout");
  if (entry.given) {
    node.listener->proxy.timeout = as_duration(entry.value);
  } else if (other != nullptr) {
    node.listener->proxy.timeout = node.listener->handshake_timeout;
    entry.effective = other->value;
  } else {
    entry.effective = string_value("3s");
  }
}

}  // namespace bulkhead::config
