#include "master/net/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "master/config/listen_address.h"
#include "master/config/local_address.h"
#include "master/net/address_move.h"
#include "master/net/socket_options.h"
#include "master/net/socket_repair.h"
#include "worker/log/log.h"

namespace bulkhead::net {

namespace {

// Sockets of `unclaimed` for an entry of `listen`; all that have its name, if they were inherited. A port that the
// kernel has chosen may be named since, and the name be left out again.
std::vector<ListeningSocket*> claim(std::vector<ListeningSocket*>& unclaimed, const config::ListenAddress& address) {
  const auto as_named = [&](ListeningSocket* one) {
    return !one->gave_way && config::same_place(one->address, address) && welcome_new_connections(*one);
  };
  const auto as_bound = [&](ListeningSocket* one) {
    config::ListenAddress bound = bound_address(*one);
    if (address.port == 0 && one->any_port) bound.port = 0;
    return !one->gave_way && config::same_place(bound, address) && welcome_new_connections(*one);
  };
  auto end = std::stable_partition(unclaimed.begin(), unclaimed.end(), as_named);
  if (end == unclaimed.begin()) end = std::stable_partition(unclaimed.begin(), unclaimed.end(), as_bound);
  if (!address.is_inherited() && end != unclaimed.begin()) end = std::next(unclaimed.begin());
  std::vector<ListeningSocket*> out(unclaimed.begin(), end);
  unclaimed.erase(unclaimed.begin(), end);
  return out;
}

bool is_in_the_way(const ListeningSocket& socket, const config::ListenAddress& address) {
  return !socket.reserved && config::collide(bound_address(socket), address);
}

std::string left_out(const sys::Error& error) {
  return fmt::format("{}; this system has no IPv6, so the listener does without this address", error.text());
}

sys::Error too_many(const config::ListenAddress& address) {
  return {fmt::format("{}: a listener has at most {} sockets", address.text, config::kMaxSocketsOfListener), "", 0};
}

}  // namespace

Listener::Listener(std::uint32_t number, std::string path, config::Listener config, InheritedSockets& inherited)
    : number_(number), path_(std::move(path)), config_(std::move(config)), inherited_(inherited) {}

std::optional<sys::Error> Listener::open(const Lend& lend) {
  std::vector<std::string> remarks{backlog_remark(config_.sockets)};
  auto sockets = gather(config_, {}, lend, remarks);
  if (!sockets) return sockets.error();
  if (auto error = open_without_sockets()) return error;
  sockets_ = take(std::move(*sockets));
  tell(std::move(remarks));
  tell(config_.remarks);
  return std::nullopt;
}

std::optional<sys::Error> Listener::open_without_sockets() {
  if (!table_fd_) {
    if (auto error = make_table()) return error;
  }
  return config::has_drain_notice(config_) ? make_drain_notice() : std::nullopt;
}

std::optional<sys::Error> Listener::make_drain_notice() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return sys::Error{"pipe", path_, errno};
  drain_read_.reset(ends[0]);
  drain_write_.reset(ends[1]);
  return std::nullopt;
}

ListenerHandover Listener::hand_over() const {
  ListenerHandover out{path_,
                       number_,
                       false,
                       gate_.is_held_by(Gate::Holder::operators),
                       next_socket_,
                       table_fd_.get(),
                       bell_.get(),
                       drain_read_.get(),
                       drain_write_.get(),
                       table_.room().slots,
                       table_.room().first_use,
                       most_slots_,
                       limits_.capacity,
                       limits_.rate_count,
                       limits_.rate_per_ns,
                       {},
                       {},
                       {},
                       {}};
  const ipc::Counts& shown = counts();
  out.counts = {shown.completed, shown.crashed, shown.client_gone};
  out.counts.insert(out.counts.end(), std::begin(shown.refused), std::end(shown.refused));
  for (const auto& [slot, order] : orders_) out.orders.push_back({slot, ipc::word_of(order.word)});
  for (const ListeningSocket& socket : sockets_) {
    out.sockets.push_back({socket.number, socket.address.text, socket.fd.get(), socket.file->path(),
                           socket.file->device(), socket.file->inode(), inherited_.number_of(socket.lease)});
  }
  for (const auto& [generation, names] : handler_names_) out.handlers.push_back({generation, names});
  return out;
}

std::optional<sys::Error> Listener::resume(const ListenerHandover& from) {
  if (from.suspended) gate_.hold(Gate::Holder::operators);
  next_socket_ = static_cast<std::uint16_t>(from.next_socket);
  for (const HandlerNames& one : from.handlers) handler_names_[one.generation] = one.names;
  bell_.reset(from.bell);
  table_fd_.reset(from.table);
  drain_read_.reset(from.drain_read);
  drain_write_.reset(from.drain_write);
  std::optional<sys::Error> error;
  // Even after an error every descriptor must have an owner, and no file may be removed.
  for (const SocketHandover& one : from.sockets) {
    const auto address =
        std::ranges::find_if(config_.listen, [&one](const auto& each) { return each.text == one.address; });
    ListeningSocket socket =
        resume_listening_socket(one, address == config_.listen.end() ? config::ListenAddress{} : *address);
    if (address == config_.listen.end()) {
      socket.file->disown();
      error = sys::Error{fmt::format("{} does not listen at {}", path_, one.address), "", 0};
      continue;
    }
    if (one.inherited >= 0) socket.lease = inherited_.lease_again(one.inherited);
    sockets_.push_back(std::move(socket));
  }
  if (error || from.table < 0) return error;
  limits_ = {from.max_connections, from.rate_count, from.rate_per_ns, from.room};
  most_slots_ = from.most_slots;
  auto table = ipc::TableView::map(table_fd_.get(), {from.room, {}, from.first_use});
  if (!table) return table.error();
  table_ = std::move(*table);
  lease_is_known_ = false;
  for (const OrderHandover& one : from.orders) order(one.slot, ipc::master_word(one.word));
  ipc::Counts shown;
  if (from.counts.size() == 3 + ipc::kRefusals) {
    shown.completed = from.counts[0];
    shown.crashed = from.counts[1];
    shown.client_gone = from.counts[2];
    std::copy(from.counts.begin() + 3, from.counts.end(), std::begin(shown.refused));
  }
  tally_.resume(shown);
  return std::nullopt;
}

sys::Result<std::vector<Listener::Place>> Listener::gather(const config::Listener& config,
                                                           std::vector<ListeningSocket*> old, const Lend& lend,
                                                           std::vector<std::string>& remarks) {
  std::vector<Place> out;
  for (const config::ListenAddress& address : config.listen) out.push_back({&address, claim(old, address), {}});
  std::size_t count = 0;
  std::optional<sys::Error> without_family;
  for (Place& place : out) {
    failed_address_ = place.address;
    if (place.kept.empty()) {
      auto given = lend ? lend(*place.address) : GivenUp{};
      if (!given) return given.error();
      for (const ListeningSocket* one : old) {
        if (is_in_the_way(*one, *place.address)) given->in_the_way.push_back(one->fd.get());
      }
      if (auto error = make(place, config.sockets, std::move(*given), remarks)) {
        const bool dispensable = config.listen.size() > 1 && config::is_without_family(*place.address, error->code);
        if (!dispensable) return std::move(*error);
        remarks.push_back(left_out(*error));
        without_family = std::move(error);
      }
    }
    count += place.kept.size() + place.made.size();
    if (count > config::kMaxSocketsOfListener) return too_many(*place.address);
  }
  if (count == 0 && without_family) return std::move(*without_family);
  failed_address_ = nullptr;
  return out;
}

std::optional<sys::Error> Listener::make(Place& place, const config::SocketOptions& options, GivenUp given,
                                         std::vector<std::string>& remarks) {
  if (given.same.empty()) {
    auto made = open_listening_sockets(*place.address, options, inherited_, remarks, given.in_the_way);
    if (!made) return made.error();
    place.made = std::move(*made);
    return std::nullopt;
  }
  place.made = std::move(given.same);
  for (ListeningSocket& socket : place.made) {
    if (auto error = set_options(socket, options, remarks)) return error;
  }
  return std::nullopt;
}

std::vector<ListeningSocket> Listener::take(std::vector<Place> places) {
  std::vector<ListeningSocket> out;
  for (Place& place : places) {
    const std::size_t before = out.size();
    for (ListeningSocket* socket : place.kept) out.push_back(std::move(*socket));
    for (ListeningSocket& socket : place.made) {
      socket.number = next_socket_++;
      out.push_back(std::move(socket));
    }
    for (std::size_t i = before; i < out.size(); ++i) out[i].address = *place.address;
  }
  return out;
}

std::optional<sys::Error> Listener::check_room(const config::Listener& config) const {
  if (!table_fd_ || config.max_connections <= table_.room().slots) return std::nullopt;
  return sys::Error{fmt::format("max_connections above {} needs a restart of the daemon", table_.room().slots), "", 0};
}

std::optional<sys::Error> Listener::change_closed(const config::Listener& config) {
  if (auto error = check_room(config)) return error;
  config_ = config;
  take_limits(config);
  return std::nullopt;
}

sys::Result<std::vector<ListeningSocket>> Listener::lend(const config::ListenAddress& address) {
  std::vector<ListeningSocket> out;
  for (auto* const sockets : {&sockets_, &left_over_}) {
    for (ListeningSocket& socket : *sockets) {
      const bool lendable = !is_shared(socket) && !socket.reserved && !socket.gave_way;
      if (!config::same_place(socket.address, address) || !lendable || !welcome_new_connections(socket)) continue;
      auto shared = share(socket);
      if (!shared) return shared.error();
      out.push_back(std::move(*shared));
    }
  }
  return out;
}

std::vector<const ListeningSocket*> Listener::in_the_way(const config::ListenAddress& address) const {
  std::vector<const ListeningSocket*> out;
  for (const auto* const sockets : {&sockets_, &left_over_}) {
    for (const ListeningSocket& socket : *sockets) {
      if (is_in_the_way(socket, address)) out.push_back(&socket);
    }
  }
  return out;
}

std::vector<int> Listener::give_way(const config::ListenAddress& address) {
  std::vector<int> out;
  for (auto* const sockets : {&sockets_, &left_over_}) {
    for (ListeningSocket& socket : *sockets) {
      if (!is_in_the_way(socket, address)) continue;
      socket.gave_way = true;
      out.push_back(socket.fd.get());
    }
  }
  return out;
}

std::vector<sys::Error> Listener::begin_listening(const std::function<Others(const config::ListenAddress&)>& others) {
  std::vector<sys::Error> errors;
  for (ListeningSocket& socket : sockets_) {
    if (!socket.reserved) continue;
    const Others found = others(socket.address);
    const int backlog = static_cast<int>(config_.sockets.backlog);
    const int error = listen_in_place_of(socket.fd.get(), backlog, found.in_the_way, found.leaving);
    socket.reserved = false;
    socket.waiting = error != 0;
    if (error != 0) errors.push_back({"listen", socket.address.text, error});
  }
  return errors;
}

void Listener::restore_options() {
  std::vector<std::string> remarks;
  for (auto* const sockets : {&sockets_, &left_over_}) {
    for (ListeningSocket& socket : *sockets) (void)set_options(socket, config_.sockets, remarks);
  }
}

std::optional<sys::Error> Listener::change(const config::Listener& config, const Lend& lend) {
  if (auto error = check_room(config)) return error;
  std::vector<ListeningSocket*> old;
  for (ListeningSocket& socket : sockets_) old.push_back(&socket);
  for (ListeningSocket& socket : left_over_) old.push_back(&socket);
  std::vector<std::string> remarks{backlog_remark(config.sockets)};
  auto places = gather(config, old, lend, remarks);
  failed_address_ = nullptr;  // it belongs to the other configuration
  if (!places) return places.error();
  if (config::has_drain_notice(config) && !drain_write_) {
    if (auto error = make_drain_notice()) return error;
  }
  for (const Place& place : *places) {
    for (ListeningSocket* socket : place.kept) {
      auto error = set_options(*socket, config.sockets, remarks);
      if (!error) continue;
      for (ListeningSocket* one : old) (void)set_options(*one, config_.sockets, remarks);
      return error;
    }
  }
  auto sockets = take(std::move(*places));
  std::vector<ListeningSocket> left_over;
  for (ListeningSocket* socket : old) {
    if (socket->fd) left_over.push_back(std::move(*socket));
  }
  sockets_ = std::move(sockets);
  left_over_ = std::move(left_over);
  config_ = config;
  tell(std::move(remarks));
  tell(config.remarks);
  return std::nullopt;
}

std::optional<sys::Error> Listener::repair(std::uint16_t number) {
  const auto found = std::ranges::find(sockets_, number, &ListeningSocket::number);
  if (found == sockets_.end() || is_shared(*found)) return sys::Error{"repair", path_, EBUSY};
  const int before = found->fd.get();
  auto error = net::repair(*found, config_.sockets, inherited_);
  found->waiting = error.has_value();
  if (!error || found->fd.get() != before) ++repairs_;
  return error;
}

ipc::Limits Listener::limit(const config::Listener& config) noexcept {
  take_limits(config);
  config_.max_connections = config.max_connections;
  config_.reserved = config.reserved;
  config_.log = config.log;
  tell(config.remarks);
  return {limits_};
}

bool Listener::refuse_left_over() noexcept {
  refuse_new_connections_at(left_over_);
  return !std::ranges::all_of(left_over_, is_shared);
}

bool Listener::has_left_over_clients() const noexcept {
  return std::ranges::any_of(left_over_, [](const ListeningSocket& socket) {
    pollfd queue{socket.fd.get(), POLLIN, 0};
    return !socket.reserved && !is_shared(socket) && ::poll(&queue, 1, 0) > 0 && (queue.revents & POLLIN) != 0;
  });
}

void Listener::close_left_over() noexcept {
  left_over_.clear();
}

// Each address would repeat the same remark, and so would each opening.
void Listener::tell(std::vector<std::string> remarks) {
  for (std::string& remark : remarks) {
    if (remark.empty() || std::find(remarks_.begin(), remarks_.end(), remark) != remarks_.end()) continue;
    log::Line(log::Level::warning, path_).text(remark).write();
    remarks_.push_back(std::move(remark));
  }
}

const ListeningSocket* Listener::socket(std::uint16_t number) const noexcept {
  const auto found = std::find_if(sockets_.begin(), sockets_.end(),
                                  [number](const ListeningSocket& socket) { return socket.number == number; });
  return found == sockets_.end() ? nullptr : &*found;
}

std::vector<ino_t> Listener::socket_inodes() const {
  std::vector<ino_t> out;
  for (const ListeningSocket& socket : sockets_) {
    struct stat status {};
    if (fstat(socket.fd.get(), &status) == 0) out.push_back(status.st_ino);
  }
  return out;
}

void Listener::refuse_new_connections_at(std::vector<ListeningSocket>& sockets) noexcept {
  for (ListeningSocket& socket : sockets) {
    const int error = net::refuse_new_connections(socket);
    if (error == 0) continue;
    log::Line line(log::Level::warning, path_);
    line.text("cannot refuse new clients of ").text(socket.text).text(" before it is closed, and may reset the last: ");
    line.text(strerrordesc_np(error)).write();
  }
}

void Listener::refuse_new_connections() noexcept {
  refuse_new_connections_at(sockets_);
  refuse_new_connections_at(left_over_);
}

void Listener::welcome() {
  for (ListeningSocket& socket : std::exchange(sockets_, {})) {
    auto& where = welcome_new_connections(socket) ? sockets_ : left_over_;
    where.push_back(std::move(socket));
  }
}

void Listener::close() noexcept {
  sockets_.clear();
  left_over_.clear();
}

void Listener::close_for_all() noexcept {
  for (const ListeningSocket& socket : sockets_) end_for_all(socket);
  close();
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
