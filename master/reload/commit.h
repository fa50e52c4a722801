// The second half of a reload: the new file takes effect, and the differences are applied. No step is undone; failures
// are reported.
#pragma once

#include <functional>

#include "master/reload/attempt.h"
#include "worker/loop/loop.h"

namespace bulkhead::reload {

class Commit {
 public:
  // `attempt` must outlive it. `taken_over` is called once the new configuration is in effect.
  Commit(loop::Loop& loop, Attempt& attempt, std::function<void()> taken_over);

  // Adds the steps for attempt.plan, after the trials.
  void plan_steps();
  void abandon() { pause_.stop(); }

 private:
  using Done = procedure::Done;
  void take_over();
  void commit(const Change& change);
  void change_in_place(const std::string& path);
  void reopen_log();
  void change_log(const std::string& path);
  void change_process(const std::string& path);
  void give_limits(const std::string& path);
  void limit(const std::string& path, const Done& done);
  void leave_addresses(const std::string& path);
  void empty_queues(const std::string& path, const Done& done);
  void replace_workers(const std::string& path);
  void end_removed(const std::string& path);
  void add(const std::string& path, int attempts_left, const Done& done);
  void start_stopped(const std::string& path);
  void update_specs();
  void settle_everything();
  void settle_workers(const std::string& path);
  void tell_processes();
  void then(std::function<void()> action);

  Attempt& attempt_;
  Parts& parts_;
  std::function<void()> taken_over_;
  loop::Timer pause_;
  std::function<void()> after_pause_;
  int looks_left_ = 0;
};

}  // namespace bulkhead::reload
