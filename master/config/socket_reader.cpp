#include "master/config/socket_reader.h"

#include <fmt/format.h>
#include <net/if.h>

#include "master/config/identity.h"
#include "master/config/listen_address.h"

namespace bulkhead::config {
namespace {

bool device_fits(std::string_view name) {
  constexpr std::string_view kForbidden("/: \t\n\v\f\r");  // the kernel's rule, dev_valid_name()
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         name.find_first_of(kForbidden) == std::string_view::npos;
}

// The other keys of the listener that decide whether an address collides with another one.
void add_binding(const Section& section, ListenAddress& address) {
  const Member* ipv6only = section.object.find("ipv6only");
  address.ipv6only = ipv6only != nullptr && as_boolean(ipv6only->value);
  const Member* device = section.object.find("device");
  if (device != nullptr && device_fits(device->value.text)) address.device = device->value.text;
}

void set_address(Context& context, Listener& listener, const Entry& entry, const Value& text,
                 const std::string& pointer, Value& effective) {
  if (text.kind != Value::Kind::string) {
    const auto findings = check(entry.option, text, pointer);
    context.report(findings);
    return;
  }
  auto parsed = parse_listen_address(text.text, context.directory());
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    context.report(text.at, pointer, *problem);
    return;
  }
  auto& address = std::get<ListenAddress>(parsed);
  if (address.form == ListenAddress::Form::unix_path) effective.text = "unix:" + address.path;
  if (address.is_ip()) add_binding(entry.section, address);
  context.claim_address(address, text.at, pointer);
  listener.listen.push_back(std::move(address));
}

constexpr std::array kKeepaliveSetters{
    Setter<Keepalive>{"idle",
                      [](Context&, Keepalive& keepalive, const Entry& e) {
                        keepalive.idle = std::chrono::ceil<std::chrono::seconds>(as_duration(e.value));
                      }},
    Setter<Keepalive>{"interval",
                      [](Context&, Keepalive& keepalive, const Entry& e) {
                        keepalive.interval = std::chrono::ceil<std::chrono::seconds>(as_duration(e.value));
                      }},
    Setter<Keepalive>{"probes",
                      [](Context&, Keepalive& keepalive, const Entry& e) { keepalive.probes = as_integer(e.value); }},
};
static_assert(covers(kKeepaliveSetters, Scope::keepalive));

}  // namespace

void set_listen(Context& context, Node& node, const Entry& entry) {
  if (entry.value.kind == Value::Kind::string) {
    set_address(context, *node.listener, entry, entry.value, entry.pointer(), entry.effective);
    return;
  }
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    set_address(context, *node.listener, entry, entry.value.items[i], child_pointer(entry.pointer(), i),
                entry.effective.items[i]);
  }
  if (entry.value.items.size() > kMaxSocketsOfListener) {
    context.report(entry.at(), entry.pointer(),
                   fmt::format("a listener may have at most {} addresses, not {}", kMaxSocketsOfListener,
                               entry.value.items.size()));
  }
}

void set_socket_mode(Context&, Node& node, const Entry& entry) {
  node.listener->sockets.mode = static_cast<std::uint32_t>(std::stoul(entry.value.text, nullptr, 8));
}

void set_keepalive(Context& context, Node& node, const Entry& entry) {
  if (entry.is_word()) {
    node.listener->sockets.keepalive.reset();
    return;
  }
  read_object(context, entry, kKeepaliveSetters, *node.listener->sockets.keepalive, "in keepalive");
}

void set_device(Context& context, Node&, const Entry& entry) {
  if (!entry.given || device_fits(entry.value.text)) return;  // stored in each address: see add_binding()
  context.report(
      entry.at(), entry.pointer(),
      fmt::format("expected the name of a network interface, such as \"eth0\", got {}", in_quotes(entry.value.text)));
}

std::optional<std::uint32_t> as_buffer(const Entry& entry) {
  if (!entry.given) return std::nullopt;
  return static_cast<std::uint32_t>(as_size(entry.value));
}

void read_socket_owner(Context& context, const Section& section, SocketOptions& options) {
  const Host& host = context.host();
  const auto blame = [&](std::string message) {
    context.report(section.place_of("owner"), section.pointer_of("owner"), std::move(message));
  };
  if (const std::string* text = account_text(section, "owner")) {
    const auto account = find_user(host, *text);
    options.owner = account ? account->uid : parse_account_number(*text);
    if (account) options.group = account->gid;
    if (!options.owner) {
      blame(fmt::format("no user {} in the user database", in_quotes(*text)));
    } else if (!context.as_root() && *options.owner != host.user_id()) {
      context.report_for_root(section.place_of("owner"), section.pointer_of("owner"),
                              fmt::format("only root can give a socket to {}; the daemon runs as user {}",
                                          in_quotes(*text), host.user_id()));
    }
  }
  // A missing group has already been reported with the identity of the workers.
  if (const std::string* text = account_text(section, "group")) options.group = find_group(host, *text);
  if (context.as_root()) return;
  options.owner.reset();
  options.group.reset();
}

}  // namespace bulkhead::config
