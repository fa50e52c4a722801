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

void Scaling::settle(const std::string& listener, std::int64_t workers, Done done) {
  request(
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
  for (const auto& deed : std::exchange(waiting_, {})) deed();
}

void Scaling::request(const std::string& listener, Wanted wanted, Done done) {
  auto& requests = requests_[listener];
  requests.emplace_back([this, listener, wanted = std::move(wanted), done = std::move(done)] {
    begin(listener, wanted, [this, listener, done](const Outcome& outcome) {
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
  const auto view = engine_.view(listener);
  if (!view || view->spec->type != supervision::NodeType::listener) return done(no_such(engine_, "listener", listener));
  const std::int64_t workers = wanted(static_cast<std::int64_t>(view->children.size()));
  if (workers < 1 || workers > std::int64_t{ipc::kMaxWorkers}) {
    return done(refused(fmt::format("a listener has 1 to {} workers, not {}", ipc::kMaxWorkers, workers)));
  }
  step(listener, static_cast<std::uint32_t>(workers), done);
}

void Scaling::step(const std::string& listener, std::uint32_t wanted, const Done& done) {
  if (!engine_.has(listener)) return done(no_such(engine_, "listener", listener));
  const std::vector<std::uint32_t> numbers = worker_numbers(engine_, listener);
  const auto again = [this, listener, wanted, done](ReplyError error) {
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
