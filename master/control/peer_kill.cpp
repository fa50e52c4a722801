#include "master/control/peer_kill.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "worker/ipc/slot.h"

namespace bulkhead::control {

namespace {

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number out{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

// What has no port and no pid is a source; the command table has checked that it is one of the forms.
std::optional<PeerFilter> PeerFilter::of(std::string_view text) {
  constexpr std::string_view kPid = ",pid=";
  PeerFilter out;
  if (const auto pid = text.find(kPid); pid != std::string_view::npos) {
    out.pid_ = number<std::int32_t>(text.substr(pid + kPid.size()));
    text = text.substr(0, pid);
  } else if (!prefix_of(text)) {
    const std::size_t colon = std::min(text.rfind(':'), text.size());
    out.port_ = number<std::uint16_t>(text.substr(std::min(colon + 1, text.size())));
    if (!out.port_) return std::nullopt;
    text = text.substr(0, colon);
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  }
  const auto prefix = prefix_of(text);
  if (!prefix) return std::nullopt;
  out.prefix_ = *prefix;
  return out;
}

bool PeerFilter::matches(const ipc::Peer& peer) const noexcept {
  if (port_ && peer.port != *port_) return false;
  if (pid_ && peer.pid != *pid_) return false;
  return ipc::within(ipc::source_of(peer, 32, 128), prefix_);
}

void PeerKill::begin(std::function<void(std::uint64_t)> done) {
  done_ = std::move(done);
  self_ = shared_from_this();
  turn();
}

void PeerKill::turn() {
  examined_ = signalled_ = 0;
  for (auto found = listeners_.lower_bound(path_); found != listeners_.end(); found = listeners_.lower_bound(path_)) {
    if (found->first != path_) slot_ = 0;
    path_ = found->first;
    if (const auto pause = look_through(*found->second)) return next_turn_.start(*pause);
    path_ += '\0';  // on to the next: nothing sorts between the two
  }
  const auto self = std::exchange(self_, nullptr);
  done_(count_);
}

std::optional<std::chrono::milliseconds> PeerKill::look_through(net::Listener& listener) {
  using std::chrono::milliseconds;
  const std::uint32_t end = std::min(listener.table().high_water(), listener.most_slots());
  for (; slot_ < end; ++slot_) {
    if (examined_ == kSlotsPerTurn || signalled_ == kSignalsPerTurn) return milliseconds(0);
    ++examined_;
    const auto slot = listener.table().copy(slot_);
    if (!slot || slot->state != ipc::SlotState::serving || !filter_.matches(slot->peer)) continue;
    switch (workforce_.signal_connection(listener, slot_, slot->use, signal_)) {
      case running::Signalled::yes: break;
      case running::Signalled::gone: continue;
      case running::Signalled::not_yet: return milliseconds(1);
    }
    ++signalled_;
    ++count_;
  }
  return std::nullopt;
}

}  // namespace bulkhead::control
