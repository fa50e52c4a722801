// `kill --peer`: signals the connections of a client, or of all clients of a network. A few at each turn of the loop,
// because a table may have a hundred thousand and a worker's channel has room for some hundred messages.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "master/control/penalties.h"
#include "master/running/later.h"
#include "master/running/workforce.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::control {

class PeerFilter {
 public:
  // "192.0.2.7", "192.0.2.0/24", "192.0.2.7:4711", "[2001:db8::7]:4711", "unix:uid=1000", "unix:uid=1000,pid=4711".
  [[nodiscard]] static std::optional<PeerFilter> of(std::string_view text);
  [[nodiscard]] bool matches(const ipc::Peer& peer) const noexcept;

 private:
  ipc::SourceKey prefix_;
  std::optional<std::uint16_t> port_;
  std::optional<std::int32_t> pid_;
};

class PeerKill : public std::enable_shared_from_this<PeerKill> {
 public:
  static constexpr std::uint32_t kSignalsPerTurn = 32;
  static constexpr std::uint32_t kSlotsPerTurn = 4096;  // examined

  // `workforce`, `listeners` and `later` must outlive it.
  PeerKill(running::Workforce& workforce, const Listeners& listeners, running::Later& later, PeerFilter filter,
           int signal)
      : workforce_(workforce), listeners_(listeners), later_(later), filter_(filter), signal_(signal) {}

  // Answers with the number of connections that have been signalled, at once or at a later turn. Connections that begin
  // meanwhile may be missed.
  void begin(std::function<void(std::uint64_t count)> done);

 private:
  void turn();
  // Of one listener, from slot_ on. True: all of its connections have been looked at.
  [[nodiscard]] bool look_through(net::Listener& listener);

  running::Workforce& workforce_;
  const Listeners& listeners_;
  running::Later& later_;
  PeerFilter filter_;
  int signal_;
  std::function<void(std::uint64_t)> done_;
  std::string path_;  // of the present listener
  std::uint32_t slot_ = 0;
  std::uint32_t examined_ = 0;  // in this turn
  std::uint32_t signalled_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace bulkhead::control
