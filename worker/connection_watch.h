// Looks at connections while they are served (worker/ipc/attention.h), each when its next limit may be due, and ends
// them in time. Only in a worker of a listener with such a limit; `max_lifetime` is kept here as well then, because
// rules may give each connection its own.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <unordered_map>
#include <utility>

#include "worker/ipc/attention.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/ipc/tcp_look.h"
#include "worker/loop/loop.h"

namespace bulkhead::worker {

class ConnectionWatch {
 public:
  // `on_end` ends a connection that is not looked at any more from then on.
  using OnEnd = std::function<void(std::uint32_t slot, ipc::EndCause cause, std::int64_t now_ns)>;
  ConnectionWatch(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, OnEnd on_end);

  void begun(std::uint32_t slot);
  void ended(std::uint32_t slot);  // also for one that is not looked at

 private:
  void on_due();
  void look_at(std::uint32_t slot, std::int64_t now_ns);
  void look_later(std::uint32_t slot, std::int64_t when_ns);
  void arm();

  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  OnEnd on_end_;
  ipc::TcpDiag sockets_;
  std::set<std::pair<std::int64_t, std::uint32_t>> due_;    // the next one first
  std::unordered_map<std::uint32_t, std::int64_t> due_of_;  // slot
  loop::Timer timer_;
};

}  // namespace bulkhead::worker
