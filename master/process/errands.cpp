// The errands of workers (workers.h): what the master has one worker of a listener carry out on the connection table.
#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "master/host/clock.h"
#include "master/net/listener.h"
#include "master/process/workers.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/message.h"

namespace bulkhead::process {

void Workers::ask(net::Listener& listener, const ipc::Down& message, Answered answered) {
  errands_[&listener].push_back({message, std::move(answered)});
  go_on(listener);
}

bool Workers::has_errand_under_way(const net::Listener& listener) const {
  return std::any_of(workers_.begin(), workers_.end(), [&listener](const auto& one) {
    return one.second.listener == &listener && one.second.errand_since.has_value();
  });
}

bool Workers::has_errands() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& one) { return one.second.errand_since.has_value(); });
}

void Workers::go_on(net::Listener& listener) {
  if (has_errand_under_way(listener)) return;
  if (!has_ready(listener)) return nobody_is_ready(listener);
  std::deque<Errand>& errands = errands_[&listener];
  if (errands.empty()) {
    if (const auto collect = listener.to_collect()) errands.push_back({*collect, nullptr});
  }
  if (errands.empty()) {
    errands_.erase(&listener);
    return;
  }
  for (auto& [run, worker] : workers_) {
    const bool ready = worker.listener == &listener && worker.state == WorkerProcess::State::ready;
    if (!ready || !ipc::send(worker.channel.get(), errands.front().message)) continue;
    worker.errand_since = now();
    return;
  }
}

void Workers::nobody_is_ready(net::Listener& listener) {
  const auto found = errands_.find(&listener);
  if (found == errands_.end()) return;
  std::vector<Answered> answers;
  for (Errand& errand : found->second) {
    if (errand.answered) answers.push_back(std::exchange(errand.answered, nullptr));
  }
  std::erase_if(found->second, [](const Errand& one) { return !std::holds_alternative<ipc::Forgive>(one.message); });
  for (const Answered& answered : answers) answered(0);
}

void Workers::on_done(WorkerProcess& worker, const ipc::Done& done) {
  const auto found = errands_.find(worker.listener);
  const auto type_of = [](const auto& message) { return message.kType; };
  if (!worker.errand_since || found == errands_.end() || found->second.empty() ||
      std::visit(type_of, found->second.front().message) != done.what) {
    return protocol_error(worker, "an answer to no question");
  }
  net::Listener& listener = *worker.listener;
  worker.errand_since.reset();
  const Errand errand = std::move(found->second.front());
  found->second.pop_front();
  if (const auto* collect = std::get_if<ipc::Collect>(&errand.message)) listener.collected(*collect);
  if (errand.answered) errand.answered(done.count);
  go_on(listener);
}

std::vector<ForgiveHandover> Workers::hand_over_forgiveness() const {
  std::vector<ForgiveHandover> out;
  for (const auto& [listener, errands] : errands_) {
    for (const Errand& errand : errands) {
      const auto* const forgive = std::get_if<ipc::Forgive>(&errand.message);
      if (forgive == nullptr) continue;
      const ipc::SourceKey& prefix = forgive->prefix;
      out.push_back(
          {listener->path(), prefix.family, prefix.bits, {std::begin(prefix.address), std::end(prefix.address)}});
    }
  }
  return out;
}

void Workers::resume(const ForgiveHandover& from, net::Listener& listener) {
  ipc::SourceKey prefix{from.family, from.bits, {}};
  std::copy_n(from.address.begin(), std::min(from.address.size(), sizeof prefix.address), prefix.address);
  errands_[&listener].push_back({ipc::Forgive{prefix}, nullptr});
}

void Workers::forget(net::Listener& listener) {
  const auto gone = errands_.extract(&listener);
  if (gone.empty()) return;
  for (const Errand& errand : gone.mapped()) {
    if (errand.answered) errand.answered(0);
  }
}

}  // namespace bulkhead::process
