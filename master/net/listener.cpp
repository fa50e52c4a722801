#include "master/net/listener.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bulkhead::net {

Listener::Listener(std::uint32_t number, std::string path, config::Listener config)
    : number_(number), path_(std::move(path)), config_(std::move(config)) {}

std::optional<sys::Error> Listener::open() {
  std::vector<ListeningSocket> sockets;
  for (const config::ListenAddress& address : config_.listen) {
    auto socket = open_listening_socket(address, config_.backlog);
    if (!socket) return socket.error();
    sockets.push_back(std::move(*socket));
  }
  if (!table_fd_) {
    const config::Rate& rate = config_.max_connection_rate;
    auto memfd = ipc::Table::create({config_.max_connections, rate.count, rate.per.count()});
    if (!memfd) return memfd.error();
    auto table = ipc::Table::map(memfd->get());
    if (!table) return table.error();
    bell_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell_) return sys::Error{"eventfd", path_, errno};
    table_fd_ = std::move(*memfd);
    table_ = std::move(*table);
  }
  sockets_ = std::move(sockets);
  return std::nullopt;
}

void Listener::refuse_newcomers() noexcept {
  for (ListeningSocket& socket : sockets_) net::refuse_newcomers(socket);
}

void Listener::close() noexcept {
  for (const ListeningSocket& socket : sockets_) unlink_socket_file(socket);
  sockets_.clear();
}

void Listener::ring() const noexcept {
  const std::uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);
}

}  // namespace bulkhead::net
