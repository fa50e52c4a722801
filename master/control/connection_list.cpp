#include "master/control/connection_list.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/control/answers.h"
#include "master/control/snapshot.h"
#include "master/journal/event_ring.h"
#include "master/supervision/path.h"
#include "worker/ipc/connection_log.h"
#include "worker/sys/clock.h"

namespace bulkhead::control {

namespace {

using nlohmann::ordered_json;

std::string started_text(std::int64_t age_ns) {
  return journal::wall_clock_text(
      std::chrono::system_clock::now() -
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(age_ns)));
}

std::string local_text(const net::Listener& listener, const ipc::Peer& local) {
  if (local.family != AF_UNIX) return std::string(ipc::PeerText(local).view());
  const net::ListeningSocket* socket = listener.socket(local.port);
  return socket == nullptr ? "unix:" : socket->text;
}

// What the kernel says of its socket; of a Unix socket, or of the connection of a built-in handler, nothing.
void add_traffic(const ipc::Slot& slot, const ipc::TcpLook& look, ordered_json& out) {
  using State = ipc::TcpLook::State;
  if (look.has_figures()) {
    out["bytes_in"] = look.received - std::min<std::uint64_t>(look.received, slot.header);
    out["bytes_out"] = look.sent;
    out["idle_seconds"] = seconds_of(look.idle_ns);
  }
  if (look.state == State::client_closed) out["closed_by"] = "client";
  if (look.state == State::we_closed) out["closed_by"] = "handler";
}

ordered_json connection_json(const net::Listener& listener, std::uint32_t index, const ipc::Slot& slot) {
  char hex[17];
  const std::int64_t age = std::max<std::int64_t>(0, sys::monotonic_ns() - slot.started_ns);
  const bool adopted = slot.owner == 0;
  ordered_json worker = nullptr;
  if (!adopted) worker = listener.path() + "/" + std::to_string(slot.worker);
  ordered_json out{{"id", ipc::hex_text(ipc::connection_id(slot.use, listener.number(), index), hex)},
                   {"listener", listener.path()},
                   {"pid", slot.pid},
                   {"worker", worker},
                   {"adopted", adopted},
                   {"peer", ipc::PeerText(slot.peer).view()},
                   {"local", local_text(listener, slot.local)},
                   {"started", started_text(age)},
                   {"age_seconds", seconds_of(age)},
                   {"handler", listener.handler_name(slot.generation, slot.handler)},
                   {"generation", slot.generation},
                   {"uid", uid_of(listener.config().child)}};
  if (slot.real_peer.family != AF_UNSPEC) out["real_peer"] = ipc::PeerText(slot.real_peer).view();
  return out;
}

}  // namespace

bool ConnectionList::next(std::string& out) {
  if (!std::exchange(begun_, true)) out += '[';
  const auto found = listeners_.lower_bound(path_);
  if (found == listeners_.end()) {
    out += ']';
    return false;
  }
  const net::Listener& listener = *found->second;
  if (found->first != path_ || listener.number() != number_) {
    path_ = found->first;
    number_ = listener.number();
    slot_ = 0;
  }
  const bool any = has_any_of(listener);
  const std::uint32_t end = any ? std::min(listener.table().high_water(), listener.most_slots()) : 0;
  next_of(listener, end, out);
  if (slot_ >= end) path_ += '\0';  // on to the next: nothing sorts between the two
  return true;
}

bool ConnectionList::has_any_of(const net::Listener& listener) const {
  return supervision::is_at_or_below(listener.path(), of_) || supervision::parent_of(of_) == listener.path();
}

bool ConnectionList::concerns(const net::Listener& listener, const ipc::Slot& slot) const {
  if (supervision::is_at_or_below(listener.path(), of_)) return true;
  return slot.owner != 0 && std::to_string(slot.worker) == supervision::id_of(of_);
}

void ConnectionList::next_of(const net::Listener& listener, std::uint32_t last, std::string& out) {
  const std::uint32_t end = std::min(last, slot_ + kSlotsPerPiece);
  for (std::uint32_t listed = 0; slot_ < end && listed < kPerPiece; ++slot_) {
    const auto slot = listener.table().copy(slot_);
    if (!slot || slot->state != ipc::SlotState::serving || listener.has_ended(slot_, slot->use)) continue;
    if (!concerns(listener, *slot)) continue;
    if (std::exchange(any_, true)) out += ',';
    // A table may hold any bytes: invalid UTF-8 is replaced, because dump() would throw.
    ordered_json one = connection_json(listener, slot_, *slot);
    add_traffic(*slot, sockets_.look(*slot), one);
    out += one.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    ++listed;
  }
}

}  // namespace bulkhead::control
