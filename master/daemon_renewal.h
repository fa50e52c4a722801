// The workers of a listener give way to others: after a reload to those of the new configuration, after an upgrade to
// those of the new program. As many as max_unavailable allows are replaced at a time. So many more are started first
// and have to become ready; then the old ones leave and come back, batch by batch; at the end there are as many as
// before. Connections go on, adopted as ever.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "master/process/workers.h"
#include "master/supervision/child_spec.h"
#include "master/supervision/command.h"

namespace bulkhead {

class Daemon;

// Of one listener. Every `done` is called once, at once or later, if the renewal is still there; its problem is empty
// or says what went wrong.
class WorkerRenewal {
 public:
  using Done = std::function<void(const std::string& problem)>;
  using Outdated = std::function<bool(const process::WorkerProcess&)>;
  WorkerRenewal(Daemon& daemon, std::string listener, Outdated outdated);

  // Starts those that there will be beside the others. After a problem they are gone again.
  void start_extra(Done done);
  // Replaces what is outdated. After a problem those that are left go on; of the batch that failed, what did not start
  // is no longer in the tree.
  void replace(Done done);
  // The extra ones leave.
  void end_extra(Done done);

  [[nodiscard]] const std::string& listener() const { return listener_; }

 private:
  [[nodiscard]] std::vector<std::string> outdated() const;  // their ids
  [[nodiscard]] std::vector<unsigned long> numbers() const;
  void start(const std::vector<std::string>& ids, std::function<void(supervision::ReplyError)> then);
  void start_again(const std::vector<std::string>& batch, int attempts_left, Done done);
  [[nodiscard]] std::vector<std::string> not_there(std::vector<std::string> batch) const;
  void end(const std::vector<std::string>& ids, bool stopped_only, Done done);

  Daemon& daemon_;
  std::string listener_;
  Outdated outdated_;
  std::size_t at_once_ = 1;
  std::vector<std::string> extra_;
  std::shared_ptr<bool> alive_;  // answers outlive us
};

// Of all listeners, one after another: those workers that another program than `incarnation` has started.
class UpgradeRenewal {
 public:
  using Done = WorkerRenewal::Done;
  explicit UpgradeRenewal(Daemon& daemon) : daemon_(daemon) {}

  // A problem: some worker of ours did not become ready, and those that are left go on.
  void begin(std::uint64_t incarnation, Done done);
  void abandon();  // no worker more is started; `done` is not called

 private:
  void next_listener();
  void finish(const std::string& problem);

  Daemon& daemon_;
  std::uint64_t incarnation_ = 1;
  Done done_;
  std::deque<std::string> listeners_;
  std::unique_ptr<WorkerRenewal> renewal_;
};

}  // namespace bulkhead
