#include "worker/proxy_gate.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "worker/sys/clock.h"
#include "worker/sys/fork_diet.h"

namespace bulkhead::worker {

namespace {

using admission::ProxyResult;
using admission::ProxyVerdict;

constexpr std::size_t kFew = 64;
constexpr const char* kEnded = "the connection ended before a whole header";
constexpr const char* kReset = "the connection was reset before a whole header";
constexpr ProxyResult kGone{ProxyVerdict::invalid, kReset};

ssize_t receive_some(int connection, char* out, std::size_t size, int flags) noexcept {
  for (;;) {
    const ssize_t got = recv(connection, out, size, flags);
    if (got >= 0 || errno != EINTR) return got;
  }
}

// A descriptor that is polled becomes nonblocking (loop.h); a handler must find its connection as accept(2) returned
// it.
void make_blocking(int connection) noexcept {
  const int flags = fcntl(connection, F_GETFL);
  if (flags >= 0) fcntl(connection, F_SETFL, flags & ~O_NONBLOCK);
}

ipc::Peer peer_of(const admission::ProxyAddress& address) noexcept {
  ipc::Peer peer;
  peer.family = address.family == 4 ? AF_INET : AF_INET6;
  peer.port = address.port;
  std::copy(address.bytes.begin(), address.bytes.end(), peer.address);
  return peer;
}

}  // namespace

ProxyGate::ProxyGate(loop::Loop& loop, const ipc::Plan& plan, Reception& reception,
                     std::function<void(Arrival)> on_client, std::function<void()> on_left)
    : loop_(loop),
      header_(plan.header()),
      reception_(reception),
      on_client_(std::move(on_client)),
      on_left_(std::move(on_left)),
      room_(header_.proxy.room),
      deadline_(loop, [this] { on_deadline(); }) {
  if (on()) seen_ = std::make_unique<char[]>(admission::kMaxProxyHeader);
}

void ProxyGate::receive(Arrival arrival) {
  if (!reception_.may_speak(arrival)) return;
  const ProxyResult result = advance(arrival);
  if (result.verdict == ProxyVerdict::need_more) {
    hold(std::move(arrival));
  } else {
    settle(std::move(arrival), result);
  }
}

// Looks at the bytes that have arrived since the last read.
ProxyResult ProxyGate::advance(Arrival& arrival) noexcept {
  const std::size_t known = arrival.header.size();
  std::memcpy(seen_.get(), arrival.header.data(), known);
  char* const news = seen_.get() + known;
  const ssize_t got =
      receive_some(arrival.connection.get(), news, admission::kMaxProxyHeader - known, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return {};
  if (got <= 0) return {ProxyVerdict::invalid, got == 0 ? kEnded : kReset};
  const std::size_t size = known + static_cast<std::size_t>(got);
  admission::ProxyHeader header;
  const auto accepted = static_cast<admission::ProxyVersions>(header_.proxy.versions);
  const ProxyResult result = admission::parse_proxy_header({seen_.get(), size}, accepted, header);
  if (result.verdict == ProxyVerdict::invalid) return result;
  return take(arrival, result.verdict == ProxyVerdict::header ? header.size : size) ? result : kGone;
}

// Reads what has been seen of the header, up to `size` bytes of it in all, and nothing else.
bool ProxyGate::take(Arrival& arrival, std::size_t size) noexcept {
  while (arrival.header.size() < size) {
    const std::size_t known = arrival.header.size();
    const ssize_t got = receive_some(arrival.connection.get(), seen_.get() + known, size - known, MSG_DONTWAIT);
    if (got <= 0) return false;
    arrival.header.append(seen_.get() + known, static_cast<std::size_t>(got));
  }
  return true;
}

void ProxyGate::settle(Arrival arrival, const ProxyResult& result) {
  if (result.verdict == ProxyVerdict::invalid) {
    char detail[64] = ": ";
    std::strncat(detail, result.reason, sizeof detail - 3);
    return reception_.refuse(arrival, ipc::Refusal::proxy, detail);
  }
  admission::ProxyHeader header;
  (void)admission::parse_proxy_header(arrival.header, admission::ProxyVersions::any, header);
  if (header.source.family != 0) {
    arrival.client = peer_of(header.source);
    arrival.local = peer_of(header.destination);
  }
  on_client_(std::move(arrival));
}

void ProxyGate::hold(Arrival arrival) {
  const auto place = held_.insert(held_.end(), Held{std::move(arrival), nullptr, 0});
  place->until_ns = sys::monotonic_ns() + header_.proxy.timeout_ns;
  place->poll =
      std::make_unique<loop::Poll>(loop_, place->arrival.connection.get(), [this, place] { on_readable(place); });
  place->poll->start();
  if (held_.size() == 1) arm();
  // The heap has grown, and every fork would copy its new pages.
  if (held_.size() < 2 * most_held_ || held_.size() < kFew) return;
  most_held_ = held_.size();
  sys::keep_heap_from_children();
}

void ProxyGate::on_readable(Place place) {
  const ProxyResult result = advance(place->arrival);
  if (result.verdict == ProxyVerdict::need_more) return;
  settle(leave(place), result);
  on_left_();
}

Arrival ProxyGate::leave(Place place) {
  place->poll.reset();
  Arrival arrival = std::move(place->arrival);
  held_.erase(place);
  make_blocking(arrival.connection.get());
  return arrival;
}

void ProxyGate::arm() {
  if (held_.empty()) return;
  const std::int64_t left = held_.front().until_ns - sys::monotonic_ns();
  deadline_.start(std::chrono::nanoseconds(std::max<std::int64_t>(left, 0)));
}

void ProxyGate::on_deadline() {
  const std::int64_t now = sys::monotonic_ns();
  bool any = false;
  for (; !held_.empty() && held_.front().until_ns <= now; any = true) {
    // A header that arrived in time is not late because this worker is.
    const ProxyResult result = advance(held_.front().arrival);
    Arrival arrival = leave(held_.begin());
    if (result.verdict == ProxyVerdict::need_more) {
      reception_.refuse(arrival, ipc::Refusal::proxy_timeout);
    } else {
      settle(std::move(arrival), result);
    }
  }
  arm();
  if (any) on_left_();
}

void ProxyGate::give_up() {
  const bool any = !held_.empty();
  while (!held_.empty()) {
    Arrival arrival = leave(held_.begin());
    reception_.refuse(arrival, ipc::Refusal::proxy, ": the listener ended before a whole header");
  }
  if (any) on_left_();
}

}  // namespace bulkhead::worker
