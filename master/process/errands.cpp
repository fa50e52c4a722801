#include "master/process/errands.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>
#include <vector>

#include "master/host/clock.h"

namespace bulkhead::process {

void Errands::ask(net::Listener& listener, const ipc::Down& message, Answered answered) {
  queues_[&listener].errands.push_back({message, std::move(answered)});
  next(listener);
}

void Errands::next(net::Listener& listener) {
  Queue& queue = queues_[&listener];
  if (queue.carried) return;
  if (!carriers_.has_ready(listener)) return nobody_is_ready(queue);
  if (queue.errands.empty()) {
    if (const auto collect = listener.to_collect()) queue.errands.push_back({*collect, nullptr});
  }
  if (queue.errands.empty()) {
    queues_.erase(&listener);
    return;
  }
  if (const auto worker = carriers_.send_to_one(listener, queue.errands.front().message)) {
    queue.carried = {*worker, now()};
  }
}

void Errands::next_of_all() {
  std::vector<net::Listener*> waiting;
  for (const auto& [listener, queue] : queues_) waiting.push_back(listener);
  for (net::Listener* listener : waiting) next(*listener);
}

void Errands::nobody_is_ready(Queue& queue) {
  std::vector<Answered> answers;
  for (Errand& errand : queue.errands) {
    if (errand.answered) answers.push_back(std::exchange(errand.answered, nullptr));
  }
  std::erase_if(queue.errands, [](const Errand& one) { return !std::holds_alternative<ipc::Forgive>(one.message); });
  for (const Answered& answered : answers) answered(0);
}

bool Errands::done(net::Listener& listener, RunId worker, const ipc::Done& done) {
  const auto found = queues_.find(&listener);
  const auto type_of = [](const auto& message) { return message.kType; };
  if (!since(listener, worker) || std::visit(type_of, found->second.errands.front().message) != done.what) return false;
  Queue& queue = found->second;
  const Errand errand = std::move(queue.errands.front());
  queue.errands.pop_front();
  queue.carried.reset();
  if (const auto* collect = std::get_if<ipc::Collect>(&errand.message)) listener.collected(*collect);
  if (errand.answered) errand.answered(done.count);
  next(listener);
  return true;
}

std::vector<ForgiveHandover> Errands::hand_over() const {
  std::vector<ForgiveHandover> out;
  for (const auto& [listener, queue] : queues_) {
    for (const Errand& errand : queue.errands) {
      const auto* const forgive = std::get_if<ipc::Forgive>(&errand.message);
      if (forgive == nullptr) continue;
      const ipc::SourceKey& prefix = forgive->prefix;
      out.push_back(
          {listener->path(), prefix.family, prefix.bits, {std::begin(prefix.address), std::end(prefix.address)}});
    }
  }
  return out;
}

void Errands::resume(net::Listener& listener, const ForgiveHandover& from) {
  ipc::SourceKey prefix{from.family, from.bits, {}};
  std::copy_n(from.address.begin(), std::min(from.address.size(), sizeof prefix.address), prefix.address);
  queues_[&listener].errands.push_back({ipc::Forgive{prefix}, nullptr});
}

void Errands::worker_gone(net::Listener& listener, RunId worker) {
  if (since(listener, worker)) queues_.at(&listener).carried.reset();
}

void Errands::forget(net::Listener& listener) {
  const auto gone = queues_.extract(&listener);
  if (gone.empty()) return;
  for (const Errand& errand : gone.mapped().errands) {
    if (errand.answered) errand.answered(0);
  }
}

bool Errands::any_under_way() const {
  return std::ranges::any_of(queues_, [](const auto& one) { return one.second.carried.has_value(); });
}

std::optional<Errands::Instant> Errands::since(net::Listener& listener, RunId worker) const {
  const auto found = queues_.find(&listener);
  if (found == queues_.end() || !found->second.carried || found->second.carried->worker != worker) return std::nullopt;
  return found->second.carried->since;
}

}  // namespace bulkhead::process
