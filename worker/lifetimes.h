// Ends this worker's connections that have lasted for `max_lifetime`: SIGTERM and SIGCONT to the group, `shutdown`
// later SIGKILL. All have the same time, so they end in the order in which they began, and the next one is the first of
// a list: the cost of one does not depend on their number. The deadlines are in the slots, so that the master can
// continue if this worker dies (master/process/adoption.h).
#pragma once

#include <cstdint>

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
    if (header_.max_lifetime_ns != 0) add(slot);
  }
  // Its process has been reaped; the slot is not free yet.
  void ended(std::uint32_t slot) noexcept {
    if (header_.max_lifetime_ns != 0) take_out(slot);
  }

 private:
  void add(std::uint32_t slot) noexcept;
  void take_out(std::uint32_t slot) noexcept;
  void on_due();
  void overdue(std::uint32_t slot, std::int64_t now_ns) noexcept;
  void arm();
  [[nodiscard]] std::int64_t deadline_of(const SlotList& list) noexcept;

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  SlotLinks links_;
  SlotList living_;
  SlotList terminated_;
  loop::Timer timer_;
};

}  // namespace bulkhead::worker
