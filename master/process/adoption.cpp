#include "master/process/adoption.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "master/process/source_rules.h"
#include "master/process/worker_plan.h"
#include "worker/ipc/penalty_log.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

constexpr int kAttempts = 64;  // a holder needs some nanoseconds
constexpr std::int64_t kParkFor = 5'000'000'000;
constexpr std::size_t kMaxParked = 4096;

bool kills_groups(const net::Listener& listener) {
  return listener.config().child.kill_mode == config::KillMode::group;
}

}  // namespace

Adoption::Adoption(ChildSystem& system, bool log_ends, std::function<bool(pid_t)> is_ours, OnCrash on_crash)
    : system_(system), log_ends_(log_ends), is_ours_(std::move(is_ours)), on_crash_(std::move(on_crash)) {}

bool Adoption::tell(const net::Listener& listener, pid_t pid, int signal) {
  const bool sent = system_.signal(pid, signal, kills_groups(listener));
  if (signal == SIGTERM) system_.signal(pid, SIGCONT, kills_groups(listener));
  return sent;
}

std::uint32_t Adoption::sweep(net::Listener& listener, supervision::RunId run) {
  ipc::Table& table = listener.table();
  table.try_repair();
  std::uint32_t adopted = 0;
  for (std::uint32_t slot = 0; slot < table.high_water(); ++slot) {
    const auto copy = table.copy(slot);
    if (!copy || copy->owner != run || copy->state == ipc::SlotState::free) continue;
    table.adopt(slot);
    if (copy->state == ipc::SlotState::ending) {
      lingering_.push_back({&listener, slot, copy->pid, copy->deadline_ns});
    } else if (copy->state != ipc::SlotState::serving || copy->pid == 0) {
      change({&listener, slot, Deferred::What::release});
    } else if (adopt_slot(listener, slot, *copy)) {
      ++adopted;
    }
  }
  return adopted;
}

bool Adoption::adopt_slot(net::Listener& listener, std::uint32_t slot, const ipc::Slot& copy) {
  const std::int64_t deadline = believable_deadline(copy, sys::monotonic_ns());
  const Connection connection{&listener, slot, copy.use, copy.asked != 0, copy.lifetime, deadline};
  const bool believable = copy.pid > 1 && !is_ours_(copy.pid) && !adopted_.contains(copy.pid);
  if (believable && system_.is_child(copy.pid)) {
    adopted_.emplace(copy.pid, connection);
    if (deadline != 0) deadlines_.emplace(deadline, copy.pid);
    return true;
  }
  // Already reaped: by the worker, which died before it could report it, or by the master, before it knew whose child
  // this was.
  ipc::Ended how{false,
                 0,
                 connection.asked,
                 connection.lifetime != ipc::Lifetime::going_on,
                 copy.built_in != 0,
                 normal_exits(listener.config())};
  const auto parked =
      std::find_if(parked_.begin(), parked_.end(), [&copy](const Parked& p) { return p.pid == copy.pid; });
  if (parked != parked_.end()) {
    how.known = true;
    how.wait_status = parked->wait_status;
    parked_.erase(parked);
  }
  ended(connection, copy, how, rusage{}, false);
  return false;
}

std::optional<ipc::Origin> Adoption::find(const net::Listener& listener, pid_t leader) const {
  std::optional<std::uint32_t> slot;
  const auto found = adopted_.find(leader);
  if (found != adopted_.end() && found->second.listener == &listener) slot = found->second.slot;
  for (const Lingering& group : lingering_) {
    if (!slot && group.listener == &listener && group.group == leader) slot = group.slot;
  }
  const auto copy = slot ? listener.table().copy(*slot) : std::nullopt;
  if (!copy || copy->pid != leader) return std::nullopt;
  return ipc::Origin{leader, ipc::connection_id(copy->use, listener.number(), *slot), copy->peer};
}

void Adoption::reap(pid_t pid) {
  const auto found = adopted_.find(pid);
  if (found == adopted_.end()) return;
  const Connection connection = found->second;
  forget_deadline(found);
  adopted_.erase(found);
  const auto end = system_.reap(pid, kills_groups(*connection.listener));
  if (!end) return;
  const auto copy = connection.listener->table().copy(connection.slot);
  if (!copy || copy->use != connection.use) return;
  ended(connection, *copy,
        {true, end->wait_status, connection.asked || copy->asked != 0, connection.lifetime != ipc::Lifetime::going_on,
         copy->built_in != 0, normal_exits(connection.listener->config())},
        end->usage, end->group_lives);
}

// The deadline that the connection began with, even if the configuration has changed since; an implausible time is cut.
std::int64_t Adoption::believable_deadline(const ipc::Slot& copy, std::int64_t now_ns) {
  if (copy.deadline_ns <= 0 || copy.lifetime == ipc::Lifetime::killed) return 0;
  return std::min(copy.deadline_ns, now_ns + config::kForever.count());
}

std::optional<supervision::Instant> Adoption::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return supervision::Instant(supervision::Duration(deadlines_.begin()->first));  // both count on CLOCK_MONOTONIC
}

void Adoption::on_deadline(supervision::Instant now) {
  const std::int64_t now_ns = now.time_since_epoch().count();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ns) {
    const pid_t pid = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    if (const auto found = adopted_.find(pid); found != adopted_.end()) overdue(pid, found->second, now_ns);
  }
}

void Adoption::overdue(pid_t pid, Connection& connection, std::int64_t now_ns) {
  net::Listener& listener = *connection.listener;
  const bool terminate = connection.lifetime == ipc::Lifetime::going_on;
  connection.lifetime = terminate ? ipc::Lifetime::terminated : ipc::Lifetime::killed;
  connection.deadline_ns = terminate ? now_ns + listener.config().connection_shutdown.count() : 0;
  if (terminate) deadlines_.emplace(connection.deadline_ns, pid);
  tell(listener, pid, terminate ? SIGTERM : SIGKILL);
  const auto copy = listener.table().copy(connection.slot);
  if (!copy) return;
  const std::uint64_t id = ipc::connection_id(connection.use, listener.number(), connection.slot);
  ipc::log_connection_overdue(listener.path(), id, *copy, terminate ? SIGTERM : SIGKILL, now_ns);
}

void Adoption::ended(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how, const rusage& usage,
                     bool group_lives) {
  net::Listener& listener = *connection.listener;
  const bool crashed = ipc::is_crash(how);
  const std::int64_t now = sys::monotonic_ns();
  const std::uint64_t id = ipc::connection_id(slot.use, listener.number(), connection.slot);
  admission::Charge charge = charge_of(listener.config(), slot, how);
  (void)try_penalise(listener, connection.slot, charge);
  // A group that outlives its leader keeps its slot until it is gone. If the lock is busy, which is rare, the group is
  // ended without that.
  const std::int64_t deadline = now + listener.config().connection_shutdown.count();
  const bool penalised = charge.offence == admission::Offence::none;
  if (penalised && group_lives && listener.table().try_linger(connection.slot, crashed, deadline)) {
    lingering_.push_back({&listener, connection.slot, slot.pid, deadline});
  } else {
    change({&listener, connection.slot, crashed ? Deferred::What::end_crashed : Deferred::What::end, charge});
  }
  if (crashed || log_ends_) ipc::log_connection_ended(listener.path(), id, slot, how, now);
  if (crashed) on_crash_({listener, id, slot, how.wait_status, usage});
}

// The penalty of the client's source for this ending, as a worker would decide it.
admission::Charge Adoption::charge_of(const config::Listener& config, const ipc::Slot& slot, const ipc::Ended& how) {
  if (config.penalties.mode == config::PenaltyMode::off || exempt(config.penalties, slot.peer)) return {};
  return admission::charge_for(ipc::ending_of(how), source_rules(config).penalties);
}

// True if nothing is left to charge.
bool Adoption::try_penalise(net::Listener& listener, std::uint32_t slot, admission::Charge& charge) {
  if (charge.offence == admission::Offence::none) return true;
  const admission::SourceRules rules = source_rules(listener.config());
  const std::int64_t now = sys::monotonic_ns();
  const auto copy = listener.table().copy(slot);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto what = listener.table().try_penalise(slot, charge, rules.penalties, now);
    if (!what) continue;
    if (copy) {
      const ipc::SourceKey source = ipc::source_of(copy->peer, rules.prefix4, rules.prefix6);
      ipc::log_penalised(listener.path(), source, charge, *what, rules.penalties, penalty_limit_, now);
    }
    charge = {};
    return true;
  }
  return false;
}

bool Adoption::try_change(Deferred& change) {
  if (!try_penalise(*change.listener, change.slot, change.charge)) return false;
  ipc::Table& table = change.listener->table();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::optional<bool> ring;
    switch (change.what) {
      case Deferred::What::release: ring = table.try_release(change.slot); break;
      case Deferred::What::end: ring = table.try_end(change.slot, false); break;
      case Deferred::What::end_crashed: ring = table.try_end(change.slot, true); break;
      case Deferred::What::finish: ring = table.try_finish(change.slot); break;
    }
    if (!ring) continue;
    if (*ring) change.listener->ring();
    return true;
  }
  return false;
}

void Adoption::change(Deferred wanted) {
  if (!try_change(wanted)) deferred_.push_back(wanted);
}

void Adoption::park(pid_t pid, int wait_status, std::int64_t now_ns) {
  if (parked_.size() < kMaxParked) parked_.push_back({pid, wait_status, now_ns + kParkFor});
}

std::uint32_t Adoption::signal_all(net::Listener& listener, int signal) {
  std::uint32_t count = 0;
  for (auto& [pid, connection] : adopted_) {
    if (connection.listener != &listener) continue;
    connection.asked = true;
    if (tell(listener, pid, signal)) ++count;
  }
  return count;
}

bool Adoption::signal_one(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal) {
  for (auto& [pid, connection] : adopted_) {
    if (connection.listener != &listener || connection.slot != slot || connection.use != use) continue;
    connection.asked = true;
    return tell(listener, pid, signal);
  }
  return false;
}

bool Adoption::end_lingering(const Lingering& group, std::int64_t now_ns) {
  if (sys::end_left_over(group.group, now_ns >= group.deadline_ns) == sys::LeftoverGroup::alive) return false;
  change({group.listener, group.slot, Deferred::What::finish});
  return true;
}

bool Adoption::tick(std::int64_t now_ns) {
  std::erase_if(lingering_, [this, now_ns](const Lingering& group) { return end_lingering(group, now_ns); });
  std::erase_if(parked_, [now_ns](const Parked& parked) { return parked.until_ns < now_ns; });
  std::erase_if(deferred_, [this](Deferred& wanted) { return try_change(wanted); });
  return !deferred_.empty();
}

std::uint32_t Adoption::count(const net::Listener& listener) const {
  return static_cast<std::uint32_t>(std::count_if(
      adopted_.begin(), adopted_.end(), [&listener](const auto& entry) { return entry.second.listener == &listener; }));
}

void Adoption::forget(const net::Listener& listener) {
  const auto concerns = [&listener](const auto& entry) { return entry.listener == &listener; };
  for (auto entry = adopted_.begin(); entry != adopted_.end();) {
    if (entry->second.listener == &listener) forget_deadline(entry);
    entry = entry->second.listener == &listener ? adopted_.erase(entry) : std::next(entry);
  }
  std::erase_if(deferred_, concerns);
  std::erase_if(lingering_, concerns);
}

}  // namespace bulkhead::process
