// The workers of a listener give way to others: after a reload to those of the new configuration, after an upgrade to
// those of the new program. As many as max_unavailable allows are replaced at a time. So many more are started first
// and have to become ready; then the old ones leave and come back, batch by batch; at the end there are as many as
// before. Connections continue, adopted as ever.
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

  // Starts those that serve beside the others while these are replaced. After a failure they are gone again.
  void start_extra(Done done);
  // Replaces what is outdated. After a failure the rest stays; of the batch that failed, what did not start is no
  // longer in the tree.
  void replace(Done done);
  // The extra ones leave.
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

// The renewal of all listeners, one after another: the workers that another program than `incarnation` has started.
class UpgradeRenewal {
 public:
  explicit UpgradeRenewal(RenewalParts parts) : parts_(parts) {}

  // After a failure, some worker of ours did not become ready and the rest stays.
  void begin(std::uint64_t incarnation, Done done);
  void abandon();  // no further worker is started; `done` is not called

 private:
  void next_listener();
  void finish(const Outcome& outcome);

  RenewalParts parts_;
  std::uint64_t incarnation_ = 1;
  Done done_;
  std::deque<std::string> listeners_;
  std::unique_ptr<WorkerRenewal> renewal_;
};

}  // namespace bulkhead::procedure
