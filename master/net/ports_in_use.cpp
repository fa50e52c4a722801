#include "master/net/ports_in_use.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <set>

#include "master/net/holder.h"
#include "master/net/socket_address.h"
#include "master/supervision/path.h"
#include "worker/sys/fd.h"

namespace bulkhead::net {

namespace {

// The process that listens at the control socket; 0: none.
pid_t daemon_at(const std::string& control_socket) {
  config::ListenAddress address;
  address.form = config::ListenAddress::Form::unix_path;
  address.path = control_socket;
  const sys::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const SocketAddress target = socket_address(address);
  if (!probe || connect(probe.get(), target.raw(), target.length) != 0) return 0;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  return getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 ? credentials.pid : 0;
}

void look(const config::Node& node, const std::string& path, const std::set<unsigned long>& ours,
          std::vector<std::string>& out) {
  for (const config::Node& child : node.children) look(child, supervision::child_of(path, child.spec.id), ours, out);
  if (!node.listener) return;
  for (const config::ListenAddress& address : node.listener->listen) {
    const auto found = listening_at(address, ours);
    if (!found) continue;
    out.push_back(fmt::format("{}: warning: {} {} in use by {}", path, address.text, found->certain ? "is" : "may be",
                              found->holder));
  }
}

}  // namespace

std::vector<std::string> addresses_in_use(const config::Config& config) {
  const pid_t daemon = daemon_at(config.control.socket);
  const auto sockets = daemon != 0 ? sockets_of(daemon) : std::set<unsigned long>();
  std::vector<std::string> out;
  if (sockets) look(config.root, "root", *sockets, out);  // else nobody could tell its ports from those of others
  return out;
}

}  // namespace bulkhead::net
