#include "master/procedure/make_room.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <span>

#include "worker/sys/clock.h"

namespace bulkhead::procedure {

namespace {

constexpr std::size_t kBatch = 64;

bool drops(const net::Listener& listener) {
  return listener.config().on_full == config::OnFull::drop_oldest_idle && listener.is_open() && !listener.is_ending();
}

// As many as it may have now.
std::uint32_t places_of(const net::Listener& listener) {
  const ipc::Lease& lease = listener.lease();
  const std::uint32_t most = listener.limits().capacity;
  return lease.holds && lease.exhausted ? std::min(lease.places, most) : most;
}

}  // namespace

std::optional<std::chrono::nanoseconds> MakeRoom::turn() {
  bool waits = false;
  for (net::Listener* listener : listeners_.all()) {
    const std::uint32_t wanted = drops(*listener) ? wanted_in(*listener) : 0;
    if (wanted == 0) {
      scans_.erase(listener);
      continue;
    }
    waits = true;
    if (!go_on(*listener, scans_[listener])) return std::chrono::nanoseconds(0);
    drop(*listener, scans_[listener], wanted);
    scans_.erase(listener);
  }
  return waits ? std::optional<std::chrono::nanoseconds>(kPause) : std::nullopt;
}

// Where PROXY headers are expected, clients wait in a worker, which says so in the table.
std::uint32_t MakeRoom::wanted_in(const net::Listener& listener) const {
  if (listener.counts().used < places_of(listener)) return 0;
  const std::uint32_t in_hand = listener.config().proxy.protocol != config::ProxyProtocol::off ? 1 : 0;
  return listener.table().somebody_waits() ? std::min(std::max(kernel_.queued(listener), in_hand), kMost) : 0;
}

bool MakeRoom::go_on(const net::Listener& listener, Scan& scan) const {
  const std::int64_t began = sys::monotonic_ns();
  ipc::Slot batch[kBatch];
  while (scan.next < listener.most_slots()) {
    const std::size_t wanted = std::min<std::size_t>(kBatch, listener.most_slots() - scan.next);
    const std::size_t got = listener.table().copy(scan.next, std::span(batch).first(wanted));
    if (got == 0) break;
    for (std::uint32_t i = 0; i < got; ++i) {
      if (!listener.has_ended(scan.next + i, batch[i].use)) look_at(scan.next + i, batch[i], scan);
    }
    scan.next += static_cast<std::uint32_t>(got);
    if (sys::monotonic_ns() - began >= sys::kSlice) return scan.next >= listener.most_slots();
  }
  return true;
}

void MakeRoom::look_at(std::uint32_t slot, const ipc::Slot& copy, Scan& scan) const {
  if (copy.state != ipc::SlotState::serving) return;
  if (copy.lifetime != ipc::Lifetime::going_on) {
    ++scan.leaving;
    return;
  }
  const ipc::TcpLook look = kernel_.look(copy);
  if (!look.has_figures() || look.idle_ns < std::chrono::nanoseconds(kIdle).count()) return;
  const auto place = std::ranges::find_if(scan.best, [&](const Candidate& one) { return one.idle_ns < look.idle_ns; });
  scan.best.insert(place, {look.idle_ns, slot, copy.use});
  if (scan.best.size() > kMost) scan.best.pop_back();
}

void MakeRoom::drop(net::Listener& listener, const Scan& scan, std::uint32_t wanted) {
  std::uint32_t left = wanted - std::min(wanted, scan.leaving);
  for (const Candidate& one : scan.best) {
    if (left == 0) return;
    if (workforce_.end_connection(listener, one.slot, one.use, ipc::EndCause::dropped)) --left;
  }
}

std::uint32_t clients_in_queue(const net::Listener& listener) {
  std::uint32_t sum = 0;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    tcp_info info{};
    socklen_t length = sizeof info;
    const bool known = getsockopt(socket.fd.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
    if (known) sum += info.tcpi_unacked;  // of a listening socket: how many it holds
  }
  return sum;
}

}  // namespace bulkhead::procedure
