#include "worker/lifetimes.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "worker/ipc/connection_log.h"
#include "worker/ipc/lifetime.h"
#include "worker/sys/clock.h"
#include "worker/sys/signal.h"

namespace bulkhead::worker {

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

}  // namespace

Lifetimes::Lifetimes(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table)
    : header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      table_(table),
      keeps_(header_.times.max_lifetime_ns != 0 || header_.watches != 0),
      links_(keeps_ ? std::max(table.capacity(), table.high_water()) : 0),
      living_(links_),
      terminated_(links_),
      timer_(loop, [this] { on_due(); }) {
  if (header_.watches == 0) return;
  watch_.emplace(loop, plan, table, [this](std::uint32_t slot, ipc::EndCause cause, std::int64_t now_ns) {
    overdue(slot, cause, now_ns);
    arm();
  });
}

void Lifetimes::add(std::uint32_t slot) noexcept {
  if (watch_) return watch_->begun(slot);
  const bool first = living_.empty() && terminated_.empty();
  living_.push_back(slot);
  if (first) arm();
}

void Lifetimes::end(std::uint32_t slot, ipc::EndCause cause) noexcept {
  if (!watch_ || table_.slot(slot).lifetime != ipc::Lifetime::going_on) return;
  overdue(slot, cause, sys::monotonic_ns());
  arm();
}

void Lifetimes::take_out(std::uint32_t slot) noexcept {
  switch (table_.slot(slot).lifetime) {
    case ipc::Lifetime::going_on:
      if (watch_) {
        watch_->ended(slot);
      } else {
        living_.remove(slot);
      }
      break;
    case ipc::Lifetime::terminated: terminated_.remove(slot); break;
    case ipc::Lifetime::killed: break;
  }
}

void Lifetimes::on_due() {
  const std::int64_t now = sys::monotonic_ns();
  while (deadline_of(terminated_) <= now) overdue(terminated_.front(), ipc::EndCause::none, now);
  while (deadline_of(living_) <= now) overdue(living_.front(), ipc::EndCause::max_lifetime, now);
  arm();
}

void Lifetimes::overdue(std::uint32_t index, ipc::EndCause cause, std::int64_t now_ns) noexcept {
  ipc::Slot& slot = table_.slot(index);
  const ipc::Overdue step = ipc::next_overdue(slot.lifetime, now_ns, header_.shutdown_ns, header_.stop_signal);
  take_out(index);
  // The deadline first: the master may find the slot between the two.
  if (step.deadline_ns != 0) slot.deadline_ns = step.deadline_ns;
  if (slot.lifetime == ipc::Lifetime::going_on) slot.cause = cause;
  slot.lifetime = step.lifetime;
  if (step.lifetime == ipc::Lifetime::terminated) terminated_.push_back(index);
  sys::ask_or_kill(slot.pid, step.signal, header_.kill_group != 0);
  ipc::log_connection_overdue(path_, ipc::connection_id(slot.use, header_.listener, index), slot, step.signal, now_ns);
}

std::int64_t Lifetimes::deadline_of(const SlotList& list) noexcept {
  return list.empty() ? kNever : table_.slot(list.front()).deadline_ns;
}

void Lifetimes::arm() {
  const std::int64_t next = std::min(deadline_of(living_), deadline_of(terminated_));
  if (next == kNever) return timer_.stop();
  timer_.start(std::chrono::nanoseconds(std::max<std::int64_t>(next - sys::monotonic_ns(), 0)));
}

}  // namespace bulkhead::worker
