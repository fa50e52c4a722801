#include "worker/connections.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "worker/ipc/message.h"
#include "worker/sys/clock.h"
#include "worker/sys/raw.h"
#include "worker/sys/signal.h"

namespace bulkhead::worker {

Connections::Connections(const ipc::Plan& plan, ipc::Table& table, Starter& starter, SourceWatch& sources,
                         Lifetimes& lifetimes, ClientWatch* clients, EndBytes* bytes, int channel, int bell)
    : header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      table_(table),
      starter_(starter),
      sources_(sources),
      lifetimes_(lifetimes),
      clients_(clients),
      bytes_(bytes),
      crash_reports_(channel),
      bell_(bell),
      pids_(header_.limits.capacity),
      log_start_(header_.log_connection_start != 0),
      log_end_(header_.log_connection_end != 0) {}

std::uint32_t Connections::slot_of(pid_t leader) noexcept {
  if (const std::uint32_t slot = pids_.find(leader); slot != kNoEntry) return slot;
  const auto left = std::find_if(lingering_.begin(), lingering_.end(),
                                 [&](std::uint32_t index) { return table_.slot(index).pid == leader; });
  return left == lingering_.end() ? kNoEntry : *left;
}

std::uint64_t Connections::id_of(std::uint32_t index) noexcept {
  return ipc::connection_id(table_.slot(index).use, header_.listener, index);
}

void Connections::ring(bool wanted) noexcept {
  const std::uint64_t one = 1;
  if (wanted) (void)!::write(bell_, &one, sizeof one);
}

Begun Connections::begin(Arrival& arrival) noexcept {
  const Starter::Result started = starter_.start(arrival);
  if (started.begun != Begun::served) return started.begun;
  const std::uint32_t index = arrival.slot;
  if (clients_ != nullptr && table_.slot(index).built_in == 0) clients_->add(arrival.connection.get(), index);
  arrival.connection.reset();
  pids_.put(started.pid, index);
  lifetimes_.begun(index);
  if (bytes_ != nullptr) bytes_->begun(index);
  ++table_.worker(header_.worker).accepted;
  if (wear_ != nullptr && wear_->accepted()) on_worn_();
  if (log_start_) ipc::log_connection_started(path_, id_of(index), table_.slot(index));
  return Begun::served;
}

void Connections::release(std::uint32_t slot) noexcept {
  ring(table_.release(slot));
}

bool Connections::reap() noexcept {
  bool any = false;
  if (few()) {
    while (reap_one(kAny)) any = true;
    return any;
  }
  std::size_t at = 0;
  while (const pid_t pid = pids_.next(at)) {
    if (reap_one(pid)) {
      any = true;
    } else {
      ++at;
    }
  }
  return any;
}

bool Connections::reap_one(pid_t which) noexcept {
  if (starter_.executes()) {
    siginfo_t peek{};
    const bool any = which == kAny;
    const int found =
        waitid(any ? P_ALL : P_PID, any ? 0 : static_cast<id_t>(which), &peek, WEXITED | WNOHANG | WNOWAIT);
    if (found != 0 || peek.si_pid == 0) return false;
    const pid_t pid = peek.si_pid;
    if (before_reap_) before_reap_();
    const auto end = sys::end_group(pid, header_.kill_group != 0);
    if (!end) return false;
    ended(pid, end->wait_status, end->usage, end->group_lives);
    return true;
  }
  // A raw call, because "no child left" is the usual answer, and errno's page would have to be copied for it after each
  // fork.
  int status = 0;
  rusage usage{};
  const long pid = sys::raw(SYS_wait4, which, sys::raw_pointer(&status), WNOHANG, sys::raw_pointer(&usage));
  if (pid <= 0) return false;
  ended(static_cast<pid_t>(pid), status, usage, false);
  return true;
}

void Connections::ended(pid_t pid, int status, const rusage& usage, bool group_lives) noexcept {
  const std::uint32_t index = pids_.take(pid);
  if (index == kNoEntry) return;
  lifetimes_.ended(index);
  const ipc::Slot slot = table_.slot(index);
  const std::uint64_t id = id_of(index);
  const std::int64_t now = sys::monotonic_ns();
  ipc::Ended how = ipc::ended_of(slot, status, header_.normal_exit);
  if (clients_ != nullptr && !how.built_in && (log_end_ || ipc::may_be_client_gone(how)))
    how.closed_by = clients_->who_closed(index, now);
  const ipc::EndCount count = ipc::count_of(how);
  if (sources_.asks()) sources_.ended(index, slot, how, now);
  if (group_lives) {
    table_.linger(index, count, now + header_.shutdown_ns);
    lingering_.push_back(index);
    if (on_lingering_) on_lingering_();
  } else {
    ring(table_.end(index, count));
  }
  if (on_output_end_) on_output_end_(id);
  if (wear_ != nullptr && count == ipc::EndCount::crashed && wear_->crashed(now)) on_worn_();
  log_end(id, slot, how, now);
  if (count != ipc::EndCount::normal) crash_reports_.report(index, slot, status, count, usage, now);
}

void Connections::log_end(std::uint64_t id, const ipc::Slot& slot, const ipc::Ended& how,
                          std::int64_t now_ns) noexcept {
  const bool logged = ipc::is_logged(how, log_end_);
  if (bytes_ != nullptr) return bytes_->ended(id, slot, how, now_ns, logged);
  if (logged) ipc::log_connection_ended(path_, id, slot, how, now_ns);
}

void Connections::collect(std::uint32_t first, std::uint32_t end) noexcept {
  const std::int64_t now = sys::monotonic_ns();
  for (std::uint32_t index = first; index < std::min(end, table_.room()); ++index) {
    const auto word = table_.wish(index);
    if (!word) continue;
    const ipc::Slot slot = table_.slot(index);
    const ipc::Ended how{
        .known = word->known,
        .wait_status = word->wait_status,
        .asked = word->asked,
        .cause = word->timed_out ? ipc::EndCause::max_lifetime : ipc::EndCause::none,
        .built_in = slot.built_in != 0,
        .normal = header_.normal_exit,
        .closed_by = word->count == ipc::EndCount::client_gone ? ipc::ClosedBy::client : ipc::ClosedBy::unknown};
    const admission::Charge charge = sources_.charge_of(slot, how);
    const ipc::Collected out = table_.collect(index, *word, charge, sources_.penalties(), now);
    ring(out.ring);
    if (out.done && charge.offence != admission::Offence::none) sources_.tell(slot, charge, out.penalised, now);
  }
}

void Connections::sweep_lingering(std::int64_t now_ns) noexcept {
  std::erase_if(lingering_, [this, now_ns](std::uint32_t index) {
    const ipc::Slot& slot = table_.slot(index);
    if (sys::end_left_over(slot.pid, now_ns >= slot.deadline_ns) == sys::LeftoverGroup::alive) return false;
    ring(table_.finish(index));
    return true;
  });
}

void Connections::end(const ipc::End& order) noexcept {
  if (order.slot >= table_.room()) return;
  const ipc::Slot& slot = table_.slot(order.slot);
  const bool ours = slot.owner == header_.run && slot.state == ipc::SlotState::serving && slot.pid > 1;
  if (ours && slot.use == order.use) lifetimes_.end(order.slot, order.cause);
}

std::uint32_t Connections::signal(std::uint32_t wanted, std::uint32_t use, int signal) noexcept {
  const bool all = wanted == ipc::kAllSlots;
  const std::uint32_t first = all ? 0 : wanted;
  const std::uint32_t end = all ? table_.high_water() : wanted + 1;
  std::uint32_t count = 0;
  for (std::uint32_t index = first; index < end && index < table_.room(); ++index) {
    ipc::Slot& slot = table_.slot(index);
    const bool ours = slot.owner == header_.run && slot.state == ipc::SlotState::serving && slot.pid > 1;
    if (!ours || (!all && slot.use != use)) continue;
    slot.asked = 1;
    const bool group = header_.kill_group != 0;
    const bool asks = signal == SIGTERM || signal == header_.stop_signal;
    if (asks ? sys::ask_or_kill(slot.pid, signal, group) : sys::signal_child(slot.pid, signal, group)) ++count;
  }
  return count;
}

}  // namespace bulkhead::worker
