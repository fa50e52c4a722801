// `kill --peer`: signals the connections of a client, or of all clients of a network. Some at each turn of the loop,
// because a table may have a hundred thousand. A worker's channel has room for some hundred messages; while it is full,
// this waits a millisecond. A worker that never reads is killed as hung, and then its connections are the master's.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "master/control/penalties.h"
#include "master/running/workforce.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/source_key.h"
#include "worker/loop/loop.h"

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

  // All references must outlive it.
  PeerKill(loop::Loop& loop, running::Workforce& workforce, const Listeners& listeners, PeerFilter filter, int signal)
      : workforce_(workforce), listeners_(listeners), filter_(filter), signal_(signal), next_turn_(loop, [this] {
          turn();
        }) {}

  // Answers with the number of connections that have been signalled, at once or at a later turn. Connections that begin
  // meanwhile may be missed.
  void begin(std::function<void(std::uint64_t count)> done);

 private:
  void turn();
  // Of one listener, from slot_ on. Nothing: all of its connections have been looked at. Otherwise: when to go on.
  [[nodiscard]] std::optional<std::chrono::milliseconds> look_through(net::Listener& listener);

  running::Workforce& workforce_;
  const Listeners& listeners_;
  PeerFilter filter_;
  int signal_;
  std::function<void(std::uint64_t)> done_;
  std::string path_;  // of the present listener
  std::uint32_t slot_ = 0;
  std::uint32_t examined_ = 0;  // in this turn
  std::uint32_t signalled_ = 0;
  std::uint64_t count_ = 0;
  std::shared_ptr<PeerKill> self_;  // until it is done
  loop::Timer next_turn_;
};

}  // namespace bulkhead::control
