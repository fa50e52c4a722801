// Ends this worker's connections that have lasted for `max_lifetime`, or that a ConnectionWatch finds due:
// `stop_signal` and SIGCONT to the group, `shutdown` later SIGKILL. All have the same time, so they end in the order in
// which they began, and the next one is the first of a list: the cost of one does not depend on their number. Where
// rules give them other times, or they are looked at anyway, the watch knows who is next. The deadlines are in the
// slots, so that the master can continue if this worker dies (master/process/adoption.h).
#pragma once

#include <cstdint>
#include <optional>

#include "worker/connection_watch.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/loop/loop.h"
#include "worker/slot_list.h"

namespace bulkhead::worker {

class Lifetimes {
 public:
  Lifetimes(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table);

  // Its process exists. Connections begin in the order of their started_ns.
  void begun(std::uint32_t slot) noexcept {
    if (keeps_) add(slot);
  }
  // Ends it now, unless it is being ended already. Only where `watches` is set in the plan.
  void end(std::uint32_t slot, ipc::EndCause cause) noexcept;
  // Its process has been reaped; the slot is not free yet.
  void ended(std::uint32_t slot) noexcept {
    if (keeps_) take_out(slot);
  }

 private:
  void add(std::uint32_t slot) noexcept;
  void take_out(std::uint32_t slot) noexcept;
  void on_due();
  void overdue(std::uint32_t slot, ipc::EndCause cause, std::int64_t now_ns) noexcept;
  void arm();
  [[nodiscard]] std::int64_t deadline_of(const SlotList& list) noexcept;

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  bool keeps_;
  SlotLinks links_;
  SlotList living_;
  SlotList terminated_;
  loop::Timer timer_;
  std::optional<ConnectionWatch> watch_;  // null: living_ is in order
};

}  // namespace bulkhead::worker
