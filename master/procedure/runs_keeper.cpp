#include "master/procedure/runs_keeper.h"

#include <chrono>
#include <set>
#include <utility>

#include "master/process/former_runs.h"
#include "worker/log/log.h"

namespace bulkhead::procedure {

namespace {

using namespace std::chrono_literals;

constexpr int kRefreshTicks = 10;
constexpr auto kLeftPatience = 5s;  // where shutdown is "infinity"

process::GroupRecord record_of(const process::ProcessChild& child, std::uint64_t start) {
  using Kind = supervision::Shutdown::Kind;
  const auto patience = child.shutdown.kind == Kind::infinity  ? supervision::Duration(kLeftPatience)
                        : child.shutdown.kind == Kind::timeout ? child.shutdown.timeout
                                                               : supervision::Duration::zero();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  return {child.pid,
          start,
          static_cast<std::uint64_t>(ms),
          child.config.stop_signal,
          child.path,
          child.config.child.kill_mode == config::KillMode::process};
}

}  // namespace

void RunsKeeper::clear_up_after_former_life() {
  former_ = process::clear_up_after_former_life(file_);
}

void RunsKeeper::resume() {
  auto before = file_.read();
  if (!before || !*before) return;
  std::set<pid_t> own;
  children_.for_each_worker([&own](const process::WorkerProcess& worker) { own.insert(worker.pid); });
  for (const process::WorkerRecord& worker : (*before)->workers) {
    if (!own.contains(worker.pid) && process::lives(worker)) former_.push_back(worker);
  }
}

std::uint64_t RunsKeeper::start_of(supervision::RunId run, pid_t pid) {
  const auto found = starts_.find({run, pid});
  if (found != starts_.end()) return found->second;
  const auto facts = process::facts_of(pid);
  return facts ? facts->start : 0;
}

process::Runs RunsKeeper::runs() {
  process::Runs out;
  Starts starts;
  children_.for_each_process([&](const process::ProcessChild& child) {
    const std::uint64_t start = starts[{child.run, child.pid}] = start_of(child.run, child.pid);
    if (start != 0) out.groups.push_back(record_of(child, start));
  });
  children_.for_each_worker([&](const process::WorkerProcess& worker) {
    const std::uint64_t start = starts[{worker.run, worker.pid}] = start_of(worker.run, worker.pid);
    if (start != 0) out.workers.push_back({worker.pid, start, worker.path});
  });
  starts_ = std::move(starts);
  std::erase_if(former_, [](const process::WorkerRecord& worker) { return !process::lives(worker); });
  out.workers.insert(out.workers.end(), former_.begin(), former_.end());
  out.seen = process::ticks_since_boot();
  return out;
}

void RunsKeeper::write(process::Runs runs) {
  ticks_ = 0;
  const auto error = file_.write(runs);
  written_ = std::move(runs);
  if (error && !std::exchange(failed_, true)) {
    log::Line(log::Level::warning, "root")
        .text("cannot record the running processes; if the daemon is killed, the next one cannot end them: ")
        .text(error->text())
        .write();
  }
  if (!error) failed_ = false;
}

void RunsKeeper::keep() {
  if (over_ || changes_ == children_.process_changes()) return;
  changes_ = children_.process_changes();
  write(runs());
}

void RunsKeeper::tick() {
  if (over_) return;
  process::Runs now = runs();
  const bool changed = now.groups != written_.groups || now.workers != written_.workers;
  const bool refresh = !now.groups.empty() && ++ticks_ >= kRefreshTicks;
  if (changed || refresh) write(std::move(now));
}

std::uint32_t RunsKeeper::earlier_connections() const {
  std::uint32_t sum = 0;
  for (const process::WorkerRecord& worker : former_) {
    if (process::lives(worker)) sum += process::children_of(worker);
  }
  return sum;
}

void RunsKeeper::end() {
  over_ = true;
  process::Runs left = runs();
  if (left.groups.empty() && left.workers.empty()) return file_.remove();
  write(std::move(left));
}

}  // namespace bulkhead::procedure
