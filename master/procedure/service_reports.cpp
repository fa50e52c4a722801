#include "master/procedure/service_reports.h"

#include <fmt/format.h>

#include <utility>

namespace bulkhead::procedure {

using namespace std::chrono_literals;
using Phase = StopSequence::Phase;

ServiceReports::ServiceReports(loop::Loop& loop, const running::Listeners& listeners)
    : listeners_(listeners), watchdog_(loop, [this] { manager_.watchdog(); }) {}

void ServiceReports::start() {
  if (const auto every = manager_.watchdog_interval()) watchdog_.start(*every, *every);
}

void ServiceReports::report(Phase phase) {
  if (!manager_.listens()) return;
  std::uint64_t serving = 0;
  std::uint64_t completed = 0;
  for (const net::Listener* listener : listeners_.all()) {
    const ipc::Counts counts = listener->counts();
    serving += counts.serving;
    completed += counts.completed;
  }
  manager_.status(fmt::format("{}: {} connection{}, {} ended so far", net::daemon_state(phase), serving,
                              serving == 1 ? "" : "s", completed));
  if (phase != Phase::idle) manager_.extend_timeout(10s);
}

void ServiceReports::store_sockets(Phase phase) {
  if (!manager_.listens()) return;
  std::map<std::string, std::uint64_t> sockets;
  for (const net::Listener* listener : listeners_.all()) {
    if (phase >= Phase::closing || listener->is_ending()) continue;
    for (const net::ListeningSocket& socket : listener->sockets()) {
      if (socket.address.is_inherited() || socket.waiting || socket.reserved) continue;
      const std::string name = net::store_name(socket.fd.get());
      const std::uint64_t cookie = net::cookie_of(socket.fd.get());
      const auto stored = stored_.find(name);
      // One that was repaired may have the same address and be another socket.
      if (stored != stored_.end() && stored->second != cookie) manager_.forget(name);
      if (stored == stored_.end() || stored->second != cookie) manager_.store(name, socket.fd.get());
      sockets[name] = cookie;
    }
  }
  for (const auto& [name, cookie] : stored_) {
    if (!sockets.contains(name)) manager_.forget(name);
  }
  stored_ = std::move(sockets);
}

}  // namespace bulkhead::procedure
