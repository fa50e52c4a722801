#include "master/procedure/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/procedure/workers_of.h"
#include "master/supervision/path.h"
#include "worker/ipc/limits.h"

namespace bulkhead::procedure {

using supervision::child_of;
using supervision::Operation;
using supervision::ReplyError;

void Scaling::set(const std::string& listener, std::int64_t workers, Done done) {
  ask(
      listener, [workers](std::int64_t) { return workers; }, std::move(done));
}

void Scaling::change(const std::string& listener, std::int64_t by, Done done) {
  ask(
      listener, [by](std::int64_t present) { return present + by; }, std::move(done));
}

void Scaling::ask(const std::string& listener, Wanted wanted, Done done) {
  if (!held_) return request(listener, std::move(wanted), std::move(done));
  waiting_.emplace_back(
      [this, listener, wanted = std::move(wanted), done = std::move(done)] { request(listener, wanted, done); });
}

void Scaling::release() {
  held_ = false;
  for (const auto& action : std::exchange(waiting_, {})) action();
}

void Scaling::settle(const std::string& listener, Done done) {
  const auto settled = [this, listener](const Done& settling) {
    const auto wanted = workers_wanted(catalogue_, listener);
    // One that is down, as while a sibling's end has its group restarted, starts with that number.
    if (!wanted || worker_numbers(engine_, listener).empty()) return settling({});
    step(listener, *wanted, settling);
  };
  request(listener, Action(settled), std::move(done));
}

void Scaling::request(const std::string& listener, Wanted wanted, Done done) {
  const auto scaled = [this, listener, wanted = std::move(wanted)](const Done& scaling) {
    begin(listener, wanted, scaling);
  };
  request(listener, Action(scaled), std::move(done));
}

void Scaling::request(const std::string& listener, Action action, Done done) {
  auto& requests = requests_[listener];
  requests.emplace_back([this, listener, action = std::move(action), done = std::move(done)] {
    action([this, listener, done](const Outcome& outcome) {
      done(outcome);
      later_([this, listener] { next(listener); });
    });
  });
  if (requests.size() == 1) requests.front()();
}

void Scaling::next(const std::string& listener) {
  auto& requests = requests_[listener];
  requests.pop_front();
  if (requests.empty()) {
    requests_.erase(listener);
    if (is_idle() && on_idle_) on_idle_();
  } else {
    requests.front()();
  }
}

void Scaling::begin(const std::string& listener, const Wanted& wanted, const Done& done) {
  if (const Outcome named = listener_named(engine_, listeners_, listener); !named) return done(named);
  const std::int64_t workers = wanted(present_workers(listener));
  if (workers < 1 || workers > std::int64_t{ipc::kMaxWorkers}) {
    return done(refused(fmt::format("a listener has 1 to {} workers, not {}", ipc::kMaxWorkers, workers)));
  }
  remember_workers(engine_, catalogue_, listener, static_cast<std::uint32_t>(workers));
  if (worker_numbers(engine_, listener).empty()) return done({});  // stopped
  step(listener, static_cast<std::uint32_t>(workers), [this, listener, done](const Outcome& outcome) {
    const auto now = outcome ? std::nullopt : engine_.view(listener);
    const auto present = now ? static_cast<std::uint32_t>(now->children.size()) : 0;
    if (present > 0) remember_workers(engine_, catalogue_, listener, present);  // it did not get further
    done(outcome);
  });
}

// Of one that is stopped: those with which it would start.
std::int64_t Scaling::present_workers(const std::string& listener) const {
  const auto running = static_cast<std::int64_t>(worker_numbers(engine_, listener).size());
  return running > 0 ? running : workers_wanted(catalogue_, listener).value_or(0);
}

void Scaling::step(const std::string& listener, std::uint32_t wanted, const Done& done) {
  const std::vector<std::uint32_t> numbers = worker_numbers(engine_, listener);
  const auto again = [this, listener, wanted, done](ReplyError error) {
    const bool went_down = error == ReplyError::noproc && engine_.has(listener);
    if (went_down) return done({});
    if (error != ReplyError::none) return done(outcome_of(error, listener));
    step(listener, wanted, done);
  };
  if (numbers.size() == wanted) return done({});
  if (numbers.size() < wanted) {
    std::uint32_t number = 1;
    while (std::ranges::binary_search(numbers, number)) ++number;
    const auto spec = spec_of_worker(engine_, listener, number);
    return engine_.operate(Operation::start_child, child_of(listener, spec.id), again, spec);
  }
  const std::string last = child_of(listener, std::to_string(numbers.back()));
  engine_.operate(Operation::terminate_child, last, [this, last, again](ReplyError error) {
    if (error != ReplyError::none) return again(error);
    engine_.operate(Operation::delete_child, last, again);
  });
}

}  // namespace bulkhead::procedure
