#include "master/net/listener.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bulkhead::net {

namespace {

// Room to grow into by a reload; slots that were never used cost no memory.
constexpr std::uint32_t kLeastRoom = 65'536;
constexpr std::uint32_t kGrowth = 16;

ipc::Shape shape_of(const config::Listener& config) {
  const config::Rate& rate = config.max_connection_rate;
  const std::uint32_t room =
      std::max(kLeastRoom, std::min(config.max_connections, ipc::kMaxConnections / kGrowth) * kGrowth);
  return {config.max_connections, rate.count, rate.per.count(), std::max(room, config.max_connections)};
}

}  // namespace

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
    auto memfd = ipc::Table::create(shape_of(config_));
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

std::optional<sys::Error> Listener::change(const config::Listener& config) {
  if (config.max_connections > table_.room()) {
    return sys::Error{fmt::format("max_connections above {} needs a restart of the daemon", table_.room()), "", 0};
  }
  std::vector<ListeningSocket*> old;
  for (ListeningSocket& socket : sockets_) old.push_back(&socket);
  for (ListeningSocket& socket : left_over_) old.push_back(&socket);
  // First all that can fail: what is new.
  std::vector<ListeningSocket> sockets;
  std::vector<ListeningSocket*> kept;
  for (const config::ListenAddress& address : config.listen) {
    const auto same = std::find_if(
        old.begin(), old.end(), [&address](const ListeningSocket* one) { return one->address.text == address.text; });
    kept.push_back(same == old.end() ? nullptr : *same);
    if (kept.back() != nullptr) {
      sockets.emplace_back();
      continue;
    }
    auto opened = open_listening_socket(address, config.backlog);
    if (!opened) return opened.error();
    sockets.push_back(std::move(*opened));
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != nullptr) sockets[i] = std::move(*kept[i]);
  }
  std::vector<ListeningSocket> left_over;
  for (ListeningSocket* socket : old) {
    if (socket->fd) left_over.push_back(std::move(*socket));
  }
  sockets_ = std::move(sockets);
  left_over_ = std::move(left_over);
  config_ = config;
  return std::nullopt;
}

bool Listener::limit(const config::Listener& config) noexcept {
  if (!table_.try_limit(shape_of(config))) return false;
  config_.max_connections = config.max_connections;
  ring();
  return true;
}

void Listener::refuse_left_over() noexcept {
  for (ListeningSocket& socket : left_over_) net::refuse_newcomers(socket);
}

void Listener::close_left_over() noexcept {
  for (const ListeningSocket& socket : left_over_) unlink_socket_file(socket);
  left_over_.clear();
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

void Listener::remember_handlers(std::uint32_t generation) {
  constexpr std::size_t kGenerations = 100;
  std::vector<std::string>& names = handler_names_[generation];
  names.clear();
  for (const config::Handler& handler : config_.handlers) names.push_back(config::name_of(handler));
  if (handler_names_.size() > kGenerations) handler_names_.erase(handler_names_.begin());
}

std::string Listener::handler_name(std::uint32_t generation, std::uint32_t number) const {
  const auto found = handler_names_.find(generation);
  return found == handler_names_.end() || number >= found->second.size() ? "" : found->second[number];
}

}  // namespace bulkhead::net
