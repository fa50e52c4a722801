// The master's records of the runs of children: entered before the process exists, found by run or by pid. References
// stay valid until the run is dropped.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>

#include "master/supervision/event.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// How far a run has come.
enum class RunState { starting, ready, leaving };

template <class Record>  // has `run` and `pid`
class RunTable {
 public:
  using RunId = supervision::RunId;

  Record& add(RunId run) {
    Record& record = records_[run];
    record.run = run;
    return record;
  }
  // The outcome of the fork: the pid is entered, or the record dropped and the error returned.
  [[nodiscard]] std::optional<sys::Error> forked(RunId run, sys::Result<pid_t> pid) {
    if (!pid) {
      records_.erase(run);
      return pid.error();
    }
    records_.at(run).pid = *pid;
    runs_[*pid] = run;
    return std::nullopt;
  }
  // Another process continues the run.
  void replaced(RunId run, pid_t pid) {
    Record& record = records_.at(run);
    runs_.erase(record.pid);
    record.pid = pid;
    runs_[pid] = run;
  }
  void drop(RunId run) {
    runs_.erase(records_.at(run).pid);
    records_.erase(run);
  }

  [[nodiscard]] Record* find(RunId run) {
    const auto found = records_.find(run);
    return found == records_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const Record* find(RunId run) const {
    const auto found = records_.find(run);
    return found == records_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool knows(pid_t pid) const { return runs_.contains(pid); }
  [[nodiscard]] Record& of(pid_t pid) { return records_.at(runs_.at(pid)); }
  [[nodiscard]] const Record& of(pid_t pid) const { return records_.at(runs_.at(pid)); }
  [[nodiscard]] bool empty() const { return records_.empty(); }

  auto begin() { return records_.begin(); }
  auto end() { return records_.end(); }
  auto begin() const { return records_.begin(); }
  auto end() const { return records_.end(); }

 private:
  std::map<RunId, Record> records_;
  std::map<pid_t, RunId> runs_;
};

}  // namespace bulkhead::process
