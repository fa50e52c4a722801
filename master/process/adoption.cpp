#include "master/process/adoption.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <span>
#include <utility>

#include "master/process/worker_plan.h"
#include "worker/ipc/attention.h"
#include "worker/ipc/lifetime.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

constexpr std::int64_t kParkFor = 5'000'000'000;
constexpr std::size_t kMaxParked = 4096;
constexpr std::size_t kBatch = 128;
constexpr std::uint32_t kMaxLogged = 100;  // lines of a sweep

ipc::EndCause believable_cause(const ipc::Slot& copy) {
  return copy.cause < ipc::EndCause::count_ ? copy.cause : ipc::EndCause::none;
}

bool kills_groups(const net::Listener& listener) {
  return listener.config().child.kill_mode == config::KillMode::group;
}

}  // namespace

Adoption::Adoption(ChildSystem& system, bool log_ends, std::function<bool(pid_t)> is_ours, OnCrash on_crash)
    : system_(system), log_ends_(log_ends), is_ours_(std::move(is_ours)), on_crash_(std::move(on_crash)) {}

// Asked each time: a program may have become another user's.
bool Adoption::may_signal(pid_t pid, const Connection& connection) {
  return !connection.user || system_.real_user(pid) == connection.user;
}

bool Adoption::tell(pid_t pid, const Connection& connection, int signal) {
  if (!may_signal(pid, connection)) return false;
  const bool group = kills_groups(*connection.listener);
  const bool asks = signal == SIGTERM || signal == connection.listener->config().stop_signal;
  return asks ? system_.ask_to_end(pid, signal, group) : system_.signal(pid, signal, group);
}

bool Adoption::sweep(Sweep& sweep) {
  const net::Listener& listener = *sweep.listener;
  const std::int64_t began = sys::monotonic_ns();
  ipc::Slot batch[kBatch];
  while (sweep.next < listener.most_slots()) {
    const std::uint32_t first = sweep.next;
    const std::size_t wanted = std::min<std::size_t>(kBatch, listener.most_slots() - first);
    const std::size_t got = listener.table().copy(first, std::span(batch).first(wanted));
    if (got == 0) break;
    for (std::uint32_t i = 0; i < got; ++i) sweep_slot(sweep, first + i, batch[i]);
    sweep.next = first + static_cast<std::uint32_t>(got);
    if (sys::monotonic_ns() - began >= sys::kSlice) return false;
  }
  sweep.next = listener.most_slots();
  if (sweep.unlogged == 0) return true;
  log::Line(log::Level::warning, listener.path())
      .text("some ended connections of a dead worker were not logged")
      .field("suppressed", static_cast<std::int64_t>(sweep.unlogged))
      .write();
  return true;
}

void Adoption::sweep_slot(Sweep& sweep, std::uint32_t slot, const ipc::Slot& copy) {
  if (copy.owner != sweep.run || copy.state == ipc::SlotState::free) return;
  net::Listener& listener = *sweep.listener;
  ipc::MasterWord word;
  word.use = copy.use;
  if (copy.state == ipc::SlotState::ending) {
    word.wish = ipc::MasterWord::Wish::end;
    const std::int64_t latest = sys::monotonic_ns() + listener.config().connection_shutdown.count();
    linger({&listener, slot, word, copy.pid, sweep.user, std::min(copy.deadline_ns, latest)});
  } else if (copy.state != ipc::SlotState::serving || copy.pid == 0) {
    word.wish = ipc::MasterWord::Wish::release;
    order(listener, slot, word);
  } else if (adopt_slot(sweep, slot, copy)) {
    ++sweep.adopted;
  }
}

void Adoption::add(pid_t pid, const Connection& connection) {
  connection.listener->adopt(connection.slot, connection.use);
  adopted_.emplace(pid, connection);
  ++counts_[connection.listener];
  if (connection.deadline_ns != 0) deadlines_.emplace(connection.deadline_ns, pid);
  look_soon(pid);
}

void Adoption::order(net::Listener& listener, std::uint32_t slot, const ipc::MasterWord& word) {
  listener.order(slot, word);
  ordered_.insert(&listener);
}

bool Adoption::adopt_slot(Sweep& sweep, std::uint32_t slot, const ipc::Slot& copy) {
  net::Listener& listener = *sweep.listener;
  const std::int64_t deadline = believable_deadline(copy, sys::monotonic_ns());
  const ipc::Lifetime lifetime = copy.lifetime <= ipc::Lifetime::killed ? copy.lifetime : ipc::Lifetime::killed;
  const Connection connection{&listener, slot, copy.use, sweep.user, copy.asked != 0, lifetime, believable_cause(copy),
                              deadline};
  const bool believable = copy.pid > 1 && !is_ours_(copy.pid) && !adopted_.contains(copy.pid);
  if (believable && system_.is_child(copy.pid)) {
    add(copy.pid, connection);
    return true;
  }
  // Already reaped: by the worker, which died before it could report it, or by the master, before it knew whose child
  // this was.
  const ipc::Ended how = ipc::ended_of(copy, take_parked(copy.pid), normal_exits(listener.config()));
  ended(connection, copy, how, rusage{}, false, &sweep);
  return false;
}

std::optional<int> Adoption::take_parked(pid_t pid) {
  const auto parked = std::ranges::find(parked_, pid, &Parked::pid);
  if (parked == parked_.end()) return std::nullopt;
  const int wait_status = parked->wait_status;
  parked_.erase(parked);
  return wait_status;
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

void Adoption::forget_one(const net::Listener* listener) {
  const auto found = counts_.find(listener);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

void Adoption::reap(pid_t pid) {
  const auto found = adopted_.find(pid);
  if (found == adopted_.end()) return;
  const Connection connection = found->second;
  forget_times(found);
  adopted_.erase(found);
  forget_one(connection.listener);
  const auto end = system_.reap(pid, kills_groups(*connection.listener) && may_signal(pid, connection));
  if (!end) return;
  // The slot is only what the log says of it; what is to become of it is ours to know.
  auto copy = connection.listener->table().copy(connection.slot);
  if (!copy || copy->use != connection.use) copy = ipc::Slot{};
  copy->use = connection.use;
  copy->pid = pid;
  if (connection.asked) copy->asked = 1;
  copy->lifetime = connection.lifetime;
  copy->cause = connection.cause;
  ipc::Ended how = ipc::ended_of(*copy, end->wait_status, normal_exits(connection.listener->config()));
  if (!how.built_in && (log_ends_ || ipc::may_be_client_gone(how))) how.closed_by = who_closed(*copy);
  ended(connection, *copy, how, end->usage, end->group_lives, nullptr);
}

// Of a connection whose socket is gone nothing else is known. That its client was first is likely: only a handler that
// left bytes unread makes its own close as final.
ipc::ClosedBy Adoption::who_closed(const ipc::Slot& slot) {
  const ipc::TcpLook look = system_.look_at(slot);
  const bool left = slot.client_left != 0 || look.state == ipc::TcpLook::State::gone;
  return ipc::closed_by(look.state, left ? ipc::ClosedBy::client : ipc::ClosedBy::unknown);
}

// The deadline that the connection began with, even if the configuration has changed since; an implausible time is cut.
std::int64_t Adoption::believable_deadline(const ipc::Slot& copy, std::int64_t now_ns) {
  if (copy.deadline_ns <= 0 || copy.lifetime == ipc::Lifetime::killed) return 0;
  return std::min(copy.deadline_ns, now_ns + config::kForever.count());
}

std::optional<supervision::Instant> Adoption::next_deadline() const {
  std::optional<supervision::Instant> next;
  for (const auto* due : {&deadlines_, &looks_}) {
    if (due->empty()) continue;
    const supervision::Instant first(supervision::Duration(due->begin()->first));  // both count on CLOCK_MONOTONIC
    if (!next || first < *next) next = first;
  }
  return next;
}

void Adoption::on_deadline(supervision::Instant now) {
  const std::int64_t now_ns = now.time_since_epoch().count();
  const std::int64_t began = sys::monotonic_ns();
  const auto next_of = [&](std::set<std::pair<std::int64_t, pid_t>>& due) {
    const bool any = !due.empty() && due.begin()->first <= now_ns && sys::monotonic_ns() - began < sys::kSlice;
    return any ? adopted_.find(due.extract(due.begin()).value().second) : adopted_.end();
  };
  for (auto found = next_of(deadlines_); found != adopted_.end(); found = next_of(deadlines_)) {
    overdue(found->first, found->second, ipc::EndCause::max_lifetime, now_ns);
  }
  for (auto found = next_of(looks_); found != adopted_.end(); found = next_of(looks_)) {
    look_at(found->first, found->second, now_ns);
  }
}

// Its limits in time stand in its slot, so those hold that it began under; on_client_gone is the listener's now.
void Adoption::look_soon(pid_t pid) {
  Connection& connection = adopted_.at(pid);
  const auto copy = connection.listener->table().copy(connection.slot);
  if (!copy || copy->use != connection.use || connection.lifetime != ipc::Lifetime::going_on) return;
  if (!ipc::is_watched(*copy, on_client_gone(connection.listener->config()))) return;
  connection.look_ns = sys::monotonic_ns();
  looks_.emplace(connection.look_ns, pid);
}

void Adoption::look_at(pid_t pid, Connection& connection, std::int64_t now_ns) {
  connection.look_ns = 0;
  const auto copy = connection.listener->table().copy(connection.slot);
  if (!copy || copy->use != connection.use || connection.lifetime != ipc::Lifetime::going_on) return;
  const ipc::OnClientGone on_gone = on_client_gone(connection.listener->config());
  const ipc::Judgement found = ipc::judge(*copy, system_.look_at(*copy), on_gone, now_ns);
  if (found.cause != ipc::EndCause::none) {
    deadlines_.erase({connection.deadline_ns, pid});
    return overdue(pid, connection, found.cause, now_ns);
  }
  if (found.next_ns == 0) return;
  connection.look_ns = found.next_ns;
  looks_.emplace(found.next_ns, pid);
}

void Adoption::overdue(pid_t pid, Connection& connection, ipc::EndCause cause, std::int64_t now_ns) {
  net::Listener& listener = *connection.listener;
  const ipc::Overdue step = ipc::next_overdue(
      connection.lifetime, now_ns, listener.config().connection_shutdown.count(), listener.config().stop_signal);
  if (connection.lifetime == ipc::Lifetime::going_on) connection.cause = cause;
  connection.lifetime = step.lifetime;
  connection.deadline_ns = step.deadline_ns;
  if (step.deadline_ns != 0) deadlines_.emplace(step.deadline_ns, pid);
  if (!tell(pid, connection, step.signal)) return;
  auto copy = listener.table().copy(connection.slot);
  if (!copy) return;
  copy->cause = connection.cause;
  const std::uint64_t id = ipc::connection_id(connection.use, listener.number(), connection.slot);
  ipc::log_connection_overdue({listener.path(), listener.log()}, id, *copy, step.signal, now_ns);
}

void Adoption::ended(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how, const rusage& usage,
                     bool group_lives, Sweep* sweep) {
  net::Listener& listener = *connection.listener;
  ipc::MasterWord word;
  word.use = connection.use;
  word.wish = ipc::MasterWord::Wish::end;
  word.known = how.known;
  const bool for_another = how.cause == ipc::EndCause::client_gone || how.cause == ipc::EndCause::dropped;
  word.asked = how.asked || for_another;
  word.timed_out = how.cause != ipc::EndCause::none && !for_another;
  word.count = ipc::count_of(how);
  word.wait_status = static_cast<std::uint16_t>(how.wait_status);
  if (group_lives) {
    const std::int64_t deadline = sys::monotonic_ns() + listener.config().connection_shutdown.count();
    linger({&listener, connection.slot, word, slot.pid, connection.user, deadline});
  } else {
    order(listener, connection.slot, word);
  }
  log_end_of(connection, slot, how, usage, sweep);
}

// A group that outlives its leader keeps its slot until it is gone.
void Adoption::linger(const Lingering& group) {
  if (end_lingering(group, 0)) return;
  ipc::MasterWord word = group.word;
  word.wish = ipc::MasterWord::Wish::linger;
  order(*group.listener, group.slot, word);
  lingering_.push_back(group);
}

void Adoption::log_end_of(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how,
                          const rusage& usage, Sweep* sweep) {
  const ipc::EndCount count = ipc::count_of(how);
  if (!ipc::is_logged(how, log_ends_) && count == ipc::EndCount::normal) return;
  if (sweep != nullptr && ++sweep->logged > kMaxLogged) {
    ++sweep->unlogged;
    return;
  }
  const net::Listener& listener = *connection.listener;
  const std::uint64_t id = ipc::connection_id(slot.use, listener.number(), connection.slot);
  if (ipc::is_logged(how, log_ends_)) {
    ipc::log_connection_ended({listener.path(), listener.log()}, id, slot, how, sys::monotonic_ns());
  }
  if (count == ipc::EndCount::normal) return;
  on_crash_({*connection.listener, id, slot, how.wait_status, usage, count == ipc::EndCount::client_gone});
}

void Adoption::park(pid_t pid, int wait_status, std::int64_t now_ns) {
  if (parked_.size() < kMaxParked) parked_.push_back({pid, wait_status, now_ns + kParkFor});
}

void Adoption::signal_all(const net::Listener& listener, int signal) {
  for (auto& [pid, connection] : adopted_) {
    if (connection.listener != &listener) continue;
    connection.asked = true;
    asked_.push_back({pid, &listener, connection.use, signal});
  }
}

// A signal takes a look at /proc.
bool Adoption::signal_some() {
  const std::int64_t began = sys::monotonic_ns();
  while (!asked_.empty() && sys::monotonic_ns() - began < sys::kSlice) {
    const Asked next = asked_.front();
    asked_.pop_front();
    const auto found = adopted_.find(next.pid);
    if (found == adopted_.end()) continue;
    const Connection& connection = found->second;
    if (connection.listener == next.listener && connection.use == next.use) tell(next.pid, connection, next.signal);
  }
  return asked_.empty();
}

bool Adoption::end_one(const net::Listener& listener, std::uint32_t slot, std::uint32_t use, ipc::EndCause cause) {
  const auto found = std::ranges::find_if(adopted_, [&](const auto& one) {
    return one.second.listener == &listener && one.second.slot == slot && one.second.use == use;
  });
  if (found == adopted_.end()) return false;
  if (found->second.lifetime != ipc::Lifetime::going_on) return true;
  forget_times(found);
  overdue(found->first, found->second, cause, sys::monotonic_ns());
  return true;
}

bool Adoption::signal_one(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal) {
  for (auto& [pid, connection] : adopted_) {
    if (connection.listener != &listener || connection.slot != slot || connection.use != use) continue;
    connection.asked = true;
    return tell(pid, connection, signal);
  }
  return false;
}

bool Adoption::end_lingering(const Lingering& group, std::int64_t now_ns) {
  const bool own = !is_ours_(group.group);
  if (own && system_.end_left_over(group.group, group.user, now_ns >= group.deadline_ns) == sys::LeftoverGroup::alive) {
    return false;
  }
  order(*group.listener, group.slot, group.word);
  return true;
}

void Adoption::tick(std::int64_t now_ns) {
  const std::int64_t began = sys::monotonic_ns();
  for (std::size_t left = lingering_.size(); left > 0 && sys::monotonic_ns() - began < sys::kSlice; --left) {
    if (next_lingering_ >= lingering_.size()) next_lingering_ = 0;
    if (!end_lingering(lingering_[next_lingering_], now_ns)) {
      ++next_lingering_;
      continue;
    }
    lingering_[next_lingering_] = lingering_.back();
    lingering_.pop_back();
  }
  std::erase_if(parked_, [now_ns](const Parked& parked) { return parked.until_ns < now_ns; });
}

std::uint32_t Adoption::count(const net::Listener& listener) const {
  const auto found = counts_.find(&listener);
  return found == counts_.end() ? 0 : found->second;
}

bool Adoption::has_any(const net::Listener& listener) const {
  return count(listener) != 0 ||
         std::ranges::any_of(lingering_, [&listener](const auto& group) { return group.listener == &listener; });
}

std::vector<ipc::KeptUse> Adoption::slots_of(const net::Listener& listener) const {
  std::vector<ipc::KeptUse> out;
  for (const auto& [pid, connection] : adopted_) {
    if (connection.listener == &listener)
      out.push_back({connection.slot, connection.use, ipc::SlotState::serving, pid});
  }
  for (const Lingering& group : lingering_) {
    if (group.listener == &listener) out.push_back({group.slot, group.word.use, ipc::SlotState::ending, group.group});
  }
  return out;
}

void Adoption::forget(net::Listener& listener) {
  const auto concerns = [&listener](const auto& entry) { return entry.listener == &listener; };
  for (auto entry = adopted_.begin(); entry != adopted_.end();) {
    if (entry->second.listener == &listener) forget_times(entry);
    entry = entry->second.listener == &listener ? adopted_.erase(entry) : std::next(entry);
  }
  counts_.erase(&listener);
  std::erase_if(lingering_, concerns);
  std::erase_if(asked_, concerns);
  ordered_.erase(&listener);
}

}  // namespace bulkhead::process
