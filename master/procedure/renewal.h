// Replaces the workers of a listener: after a reload with workers of the new configuration, after an upgrade with
// workers of the new program. max_unavailable says how many are replaced at a time. That many extra workers are started
// first and have to become ready; then the old ones leave and come back, batch by batch; at the end there are as many
// as before. Connections continue, adopted by the master.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "master/procedure/outcome.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/lifeline.h"
#include "master/running/listeners.h"
#include "master/running/workforce.h"

namespace bulkhead::procedure {

// The parts that every renewal works with.
struct RenewalParts {
  running::Engine& engine;
  running::Listeners& listeners;
  running::Workforce& workforce;
  running::Later& later;
};

// The renewal of one listener. Every `done` is called once, at once or later, if the renewal still exists.
class WorkerRenewal {
 public:
  using Outdated = std::function<bool(const process::WorkerProcess&)>;
  WorkerRenewal(RenewalParts parts, std::string listener, Outdated outdated);

  // Starts the extra workers that serve while the others are replaced. After a failure they are gone again.
  void start_extra(Done done);
  // Replaces the outdated workers. After a failure the rest stays; those workers of the failed batch that did not start
  // are no longer in the tree.
  void replace(Done done);
  // Ends the extra workers.
  void end_extra(Done done);

 private:
  using Numbers = std::vector<std::uint32_t>;
  [[nodiscard]] Numbers outdated() const;
  [[nodiscard]] Numbers not_running(Numbers batch) const;
  [[nodiscard]] std::string path_of(std::uint32_t worker) const;
  void start(const Numbers& workers, running::Engine::Answered answered);
  void start_again(const Numbers& batch, int attempts_left, const Done& done);
  void end(const Numbers& workers, bool stopped_only, const Done& done);

  RenewalParts parts_;
  std::string listener_;
  Outdated outdated_;
  std::size_t at_once_ = 1;
  Numbers extra_;
  running::Lifeline while_wanted_;
};

// The renewal of all listeners, one after another: replaces the workers that another program than `incarnation` has
// started.
class UpgradeRenewal {
 public:
  explicit UpgradeRenewal(RenewalParts parts) : parts_(parts) {}

  // After a failure, a worker of this program did not become ready, and the remaining old workers stay.
  void begin(std::uint64_t incarnation, Done done);
  void abandon();  // no further worker is started; `done` is not called

 private:
  [[nodiscard]] WorkerRenewal::Outdated is_old() const;
  void next_listener();
  void finish(const Outcome& outcome);

  RenewalParts parts_;
  std::uint64_t incarnation_ = 1;
  Done done_;
  std::deque<std::string> listeners_;
  std::unique_ptr<WorkerRenewal> renewal_;
};

}  // namespace bulkhead::procedure
