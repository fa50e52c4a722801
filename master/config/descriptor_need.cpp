#include "master/config/descriptor_need.h"

#include <algorithm>

namespace bulkhead::config {
namespace {

// The descriptors of a worker itself: the listening sockets, the loop, and the clients that it is refusing.
constexpr std::uint64_t kOfWorker = 384;
constexpr std::uint64_t kLeastHeaders = 16;

// The descriptors of the master itself: the standard ones, the loop, the log, the programs, the control socket and a
// few of its clients, the pid file, and those that a start needs for a moment.
constexpr std::uint64_t kOfMaster = 32;
constexpr std::uint64_t kOfListener = 2;  // the table, the bell
constexpr std::uint64_t kOfDrainNotice = 2;
constexpr std::uint64_t kOfWorkerHere = 2;  // the channel, the lines of its log
constexpr std::uint64_t kOfErrors = 2;      // the pipes that the programs' standard error comes through
constexpr std::uint64_t kOfProcess = 4;     // its outputs, its readiness, and the result of its start

std::uint64_t need_of(const Listener& listener) {
  const bool programs = std::any_of(listener.handlers.begin(), listener.handlers.end(),
                                    [](const Handler& handler) { return !std::holds_alternative<BuiltIn>(handler); });
  const std::uint64_t of_worker = kOfWorkerHere + (programs ? kOfErrors : 0);
  return listener.listen.size() + kOfListener + (has_drain_notice(listener) ? kOfDrainNotice : 0) +
         listener.workers * of_worker;
}

void count(const Node& node, MasterNeed& out) {
  for (const Node& child : node.children) count(child, out);
  if (node.process) {
    ++out.processes;
    out.descriptors += kOfProcess;
  }
  if (!node.listener) return;
  ++out.listeners;
  out.addresses += node.listener->listen.size();
  out.workers += node.listener->workers;
  out.descriptors += need_of(*node.listener);
}

}  // namespace

std::uint32_t header_share(const Listener& listener) {
  return (listener.max_connections + listener.workers - 1) / listener.workers;
}

std::uint32_t header_room(const Listener& listener, std::uint64_t limit) {
  const std::uint64_t left = limit > kOfWorker ? limit - kOfWorker : 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(header_share(listener), std::max(left, kLeastHeaders)));
}

std::uint64_t worker_need(const Listener& listener) {
  return kOfWorker + (listener.proxy.protocol == ProxyProtocol::off ? 0 : header_share(listener));
}

MasterNeed master_need(const Node& node) {
  MasterNeed out{kOfMaster};
  count(node, out);
  return out;
}

}  // namespace bulkhead::config
