#include "master/net/listening_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "master/net/address_move.h"
#include "master/net/holder.h"
#include "master/net/socket_address.h"
#include "master/net/socket_options.h"
#include "worker/sys/hops.h"

namespace bulkhead::net {

namespace {

using config::ListenAddress;
using config::SocketOptions;
using Form = ListenAddress::Form;
using MaybeError = std::optional<sys::Error>;

void describe(ListeningSocket& socket) {
  SocketAddress bound;
  bound.length = sizeof bound.storage;
  getsockname(socket.fd.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length);
  socket.text = bound_text(socket.fd.get());
  socket.local = ipc::peer_of(bound.storage);
  if (socket.local.family == AF_UNIX) {
    socket.path = unix_path(bound);
    return;
  }
  static constexpr std::array<std::uint8_t, 16> kAny{};
  socket.wildcard = std::memcmp(socket.local.address, kAny.data(), kAny.size()) == 0;
}

sys::Error about_file(const ListenAddress& address, const sys::Error& error) {
  if (error.code != ENOENT && error.code != ENOTDIR) return {error.operation, address.text, error.code};
  const std::string directory = address.path.substr(0, address.path.rfind('/'));
  return {fmt::format("bind {}: no directory {}", address.text, directory), "", 0};
}

MaybeError listen_on(ListeningSocket& socket, const ListenAddress& address, const SocketOptions& options,
                     std::span<const int> in_the_way) {
  const auto backlog = static_cast<int>(options.backlog);
  if (address.form == Form::unix_path) {
    auto file = listen_at(socket.fd.get(), address.path, {options.mode, options.owner, options.group, backlog});
    if (!file) return about_file(address, file.error());
    *socket.file = std::move(*file);
    return std::nullopt;
  }
  const SocketAddress target = socket_address(address);
  if (!in_the_way.empty() && address.is_ip()) {
    socket.reserved = true;
    const int error = bind_beside(socket.fd.get(), address, in_the_way);
    return error == 0 ? std::nullopt : MaybeError({"bind", address.text, error});
  }
  if (bind(socket.fd.get(), target.raw(), target.length) != 0) return sys::Error{"bind", address.text, errno};
  if (listen(socket.fd.get(), backlog) != 0) return sys::Error{"listen", address.text, errno};
  return std::nullopt;
}

// "*:PORT" means both families; without IPv6 in the kernel, it means the other one.
ListenAddress as_possible(ListenAddress address) {
  if (!address.text.starts_with("*:") || sys::Fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0))) return address;
  address.form = Form::ipv4;
  address.host = "0.0.0.0";
  return address;
}

MaybeError make(ListeningSocket& socket, const SocketOptions& options, std::vector<std::string>& remarks,
                std::span<const int> in_the_way) {
  const ListenAddress address = as_possible(socket.address);
  const int family = address.form == Form::ipv4 ? AF_INET : address.form == Form::ipv6 ? AF_INET6 : AF_UNIX;
  socket.any_port = address.port == 0;
  socket.fd.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.fd) return sys::Error{"socket", address.text, errno};
  if (address.is_ip()) {
    if (auto error = set_bind_options(socket.fd.get(), address, options.freebind)) return error;
  }
  if (auto error = set_connection_options(socket.fd.get(), address.text, options, remarks)) return error;
  return listen_on(socket, address, options, in_the_way);
}

// Also sets the backlog: listen(2) on a listening socket changes nothing else.
MaybeError adapt(ListeningSocket& socket, const SocketOptions& options, std::vector<std::string>& remarks) {
  if (auto error = set_connection_options(socket.fd.get(), socket.address.text, options, remarks)) return error;
  if (socket.reserved || listen(socket.fd.get(), static_cast<int>(options.backlog)) == 0) return std::nullopt;
  return sys::Error{"listen", socket.address.text, errno};
}

}  // namespace

MaybeError set_options(ListeningSocket& socket, const SocketOptions& options, std::vector<std::string>& remarks) {
  if (auto error = adapt(socket, options, remarks)) return error;
  if (socket.address.form != Form::unix_path) return std::nullopt;
  auto error = socket.file->change({options.mode, options.owner, options.group, 0});
  return error ? MaybeError({error->operation, socket.address.text, error->code}) : std::nullopt;
}

namespace {

// Takes a socket that an earlier instance has stored; its queue is kept. False: the service manager has none.
sys::Result<bool> make_from_store(ListeningSocket& socket, const SocketOptions& options, InheritedSockets& inherited,
                                  std::vector<std::string>& remarks) {
  sys::Fd stored = inherited.take_stored(socket.address);
  if (!stored) return false;
  if (socket.address.form == Form::unix_path) {
    auto file = file_at(socket.address.path);
    if (!file) return false;  // the path is gone, so no client can reach it
    *socket.file = std::move(*file);
  }
  socket.fd = std::move(stored);
  if (auto error = set_options(socket, options, remarks)) return std::move(*error);
  return true;
}

std::string what_is_at(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return "; a file was there";
  const char* what = S_ISREG(status.st_mode)   ? "a regular file"
                     : S_ISDIR(status.st_mode) ? "a directory"
                     : S_ISLNK(status.st_mode) ? "a symbolic link"
                                               : "something other than a socket";
  return fmt::format("; {} is there and is left alone", what);
}

}  // namespace

sys::Result<std::vector<ListeningSocket>> open_listening_sockets(const ListenAddress& address,
                                                                 const SocketOptions& options,
                                                                 InheritedSockets& inherited,
                                                                 std::vector<std::string>& remarks,
                                                                 std::span<const int> in_the_way) {
  std::vector<ListeningSocket> out;
  if (!address.is_inherited()) {
    ListeningSocket& socket = out.emplace_back();
    socket.address = address;
    auto stored = make_from_store(socket, options, inherited, remarks);
    if (!stored) return stored.error();
    if (!*stored) {
      if (auto error = make(socket, options, remarks, in_the_way)) return std::move(*error);
    }
  } else {
    auto lent = inherited.open(address);
    if (!lent) return lent.error();
    for (InheritedSockets::Lent& one : *lent) {
      ListeningSocket& socket = out.emplace_back();
      socket.address = address;
      socket.fd = std::move(one.fd);
      socket.lease = std::move(one.lease);
      if (auto error = adapt(socket, options, remarks)) return std::move(*error);
    }
  }
  for (ListeningSocket& socket : out) describe(socket);
  return out;
}

ListenAddress bound_address(const ListeningSocket& socket) {
  ListenAddress out = socket.address;
  if (out.is_ip()) out.port = socket.local.port;
  return out;
}

sys::Result<ListeningSocket> share(const ListeningSocket& socket) {
  ListeningSocket out;
  out.fd.reset(fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!out.fd) return sys::Error{"dup", socket.address.text, errno};
  out.address = socket.address;
  out.local = socket.local;
  out.wildcard = socket.wildcard;
  out.path = socket.path;
  out.text = socket.text;
  out.any_port = socket.any_port;
  out.file = socket.file;
  out.lease = socket.lease;
  return out;
}

ListeningSocket resume_listening_socket(const SocketHandover& from, const ListenAddress& address) {
  ListeningSocket socket;
  socket.number = static_cast<std::uint16_t>(from.number);
  socket.address = address;
  socket.any_port = address.port == 0;
  socket.fd.reset(from.fd);
  if (from.inode != 0) *socket.file = SocketFile(from.file, from.device, from.inode);
  describe(socket);
  return socket;
}

std::string why_not_opened(const ListenAddress& address, int error) {
  switch (error) {
    case EADDRINUSE: return "; held by " + holder_of(address);
    case EEXIST: return what_is_at(address.path);
    case EACCES: return address.is_ip() && address.port < 1024 ? "; ports below 1024 need CAP_NET_BIND_SERVICE" : "";
    case EADDRNOTAVAIL: return "; no interface has this address (see \"freebind\")";
    default: return "";
  }
}

void end_for_all(const ListeningSocket& socket) noexcept {
  if (!is_shared(socket) && !socket.address.is_inherited()) (void)shutdown(socket.fd.get(), SHUT_RD);
}

static int require_hop_limit(const ListeningSocket& socket, int least) noexcept {
  return sys::require_hop_limit(socket.fd.get(), socket.address.form == Form::ipv6 ? AF_INET6 : AF_INET, least);
}

int refuse_new_connections(ListeningSocket& socket) noexcept {
  if (is_shared(socket)) return 0;
  switch (socket.address.form) {
    case Form::systemd:
    case Form::descriptor: return 0;
    case Form::unix_path: socket.file->remove(); return 0;
    case Form::unix_abstract: shutdown(socket.fd.get(), SHUT_RD); return 0;
    case Form::ipv4:
    case Form::ipv6: break;
  }
  return require_hop_limit(socket, sys::kDirectOnly);
}

bool welcome_new_connections(ListeningSocket& socket) noexcept {
  if (socket.address.form == Form::unix_path) return socket.file->inode() != 0;
  if (socket.address.is_ip()) (void)require_hop_limit(socket, sys::kAnyHops);
  return true;
}

}  // namespace bulkhead::net
