#include "master/net/socket_repair.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "master/net/socket_address.h"
#include "worker/sys/shut_down.h"

namespace bulkhead::net {

namespace {

using Form = config::ListenAddress::Form;

bool is_unix(const ListeningSocket& socket) {
  return socket.local.family == AF_UNIX;
}

bool listens(const ListeningSocket& socket) noexcept {
  return !sys::is_shut_down(socket.fd.get()) && (is_unix(socket) || bound_text(socket.fd.get()) == socket.text);
}

// A port that the kernel chose is lost with the shutdown, a fixed one is still bound.
bool listens_again(const ListeningSocket& socket, int backlog) {
  SocketAddress address;
  if (socket.address.is_ip()) {
    address = socket_address(bound_address(socket));
  } else {
    address.length = sizeof address.storage;
    getsockname(socket.fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  }
  // Undoes the shutdowns of a socket that did not listen any more, which its connections would inherit (connect(2),
  // AF_UNSPEC).
  const sockaddr nobody{};
  (void)connect(socket.fd.get(), &nobody, sizeof nobody);
  (void)bind(socket.fd.get(), address.raw(), address.length);
  return listen(socket.fd.get(), backlog) == 0 && listens(socket);
}

}  // namespace

Fault fault_of(const ListeningSocket& socket) noexcept {
  if (socket.reserved) return Fault::none;
  if (!listens(socket)) return Fault::shut_down;
  return socket.file->inode() != 0 && !socket.file->is_there() ? Fault::unreachable : Fault::none;
}

std::optional<sys::Error> repair(ListeningSocket& socket, const config::SocketOptions& options,
                                 InheritedSockets& inherited) {
  if (!is_unix(socket) && listens_again(socket, static_cast<int>(options.backlog))) return std::nullopt;
  if (socket.address.is_inherited()) {
    return sys::Error{socket.address.text + " was shut down, and only the process that passed it can bind it again", "",
                      0};
  }
  if (socket.address.form == Form::unix_abstract) {
    sys::Fd nameless(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!nameless) return sys::Error{"socket", socket.address.text, errno};
    socket.fd = std::move(nameless);
  }
  std::vector<std::string> remarks;  // made at the first opening
  auto opened = open_listening_sockets(bound_address(socket), options, inherited, remarks);
  if (!opened) return opened.error();
  ListeningSocket& fresh = opened->front();
  *socket.file = std::move(*fresh.file);  // before the old socket is closed (socket_file.h)
  socket.fd = std::move(fresh.fd);
  socket.local = fresh.local;
  socket.path = std::move(fresh.path);
  socket.text = std::move(fresh.text);
  return std::nullopt;
}

}  // namespace bulkhead::net
