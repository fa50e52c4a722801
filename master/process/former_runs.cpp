#include "master/process/former_runs.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "master/host/clock.h"
#include "worker/log/log.h"
#include "worker/sys/children.h"
#include "worker/sys/fd.h"

namespace bulkhead::process {

namespace {

using namespace std::chrono_literals;

constexpr int kLookAgainMs = 20;
constexpr auto kMostPatience = 30s;
constexpr auto kLeftAfterKill = 2s;

bool is_same(const ProcessFacts& one, const ProcessFacts& other) {
  return one.pid == other.pid && one.start == other.start && one.group == other.group;
}

// False: it is gone, or another process.
void signal_exactly(const ProcessFacts& wanted, int signal) {
  const sys::Fd process(static_cast<int>(syscall(SYS_pidfd_open, wanted.pid, 0)));
  const auto facts = process ? facts_of(wanted.pid) : std::nullopt;
  if (!facts || !is_same(*facts, wanted)) return;
  (void)syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
}

// One group on its way down.
struct Ending {
  GroupRecord group;
  std::vector<ProcessFacts> known;  // members that were verified
  supervision::Instant deadline;
  bool killed = false;
  bool over = false;
};

// A member that was known, and lives, still vouches for the number.
std::vector<ProcessFacts> members_now(const Ending& ending, const std::vector<ProcessFacts>& all) {
  const auto is_known = [&](const ProcessFacts& one) {
    return std::ranges::any_of(ending.known, [&one](const ProcessFacts& known) { return is_same(one, known); });
  };
  std::vector<ProcessFacts> out;
  if (std::ranges::none_of(all, [&](const ProcessFacts& one) { return one.lives && is_known(one); })) return out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const ProcessFacts& one) {
    return one.lives && (ending.group.alone ? is_known(one) : one.group == ending.group.leader);
  });
  return out;
}

void kill_group(Ending& ending, supervision::Instant now) {
  if (!ending.killed) {
    log::Line(log::Level::warning, ending.group.path)
        .text("killed processes that the previous daemon left running")
        .write();
  }
  ending.killed = true;
  for (const ProcessFacts& one : ending.known) signal_exactly(one, SIGKILL);
  if (now < ending.deadline + kLeftAfterKill) return;
  ending.over = true;
  log::Line(log::Level::error, ending.group.path)
      .text("could not end processes that the previous daemon left running")
      .write();
}

void look_at(Ending& ending, const std::vector<ProcessFacts>& all, supervision::Instant now) {
  ending.known = members_now(ending, all);
  ending.over = ending.known.empty();
  if (!ending.over && now >= ending.deadline) kill_group(ending, now);
}

std::vector<Ending> begin_endings(const Runs& runs) {
  std::vector<Ending> out;
  const std::vector<ProcessFacts> all = all_processes();
  for (const GroupRecord& group : runs.groups) {
    auto members = members_of(group, runs.seen, all);
    if (!members) {
      log::Line(log::Level::warning, group.path)
          .text(
              "left a process group alone: it has the number of one that the previous daemon left, but may be another")
          .field("group", group.leader)
          .write();
      continue;
    }
    if (members->empty()) continue;
    log::Line(log::Level::warning, group.path)
        .text("ending processes that the previous daemon left running")
        .field("group", group.leader)
        .field("processes", static_cast<std::int64_t>(members->size()))
        .write();
    for (const ProcessFacts& one : *members) {
      signal_exactly(one, group.stop_signal);
      signal_exactly(one, SIGCONT);
    }
    const auto patience =
        std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(group.patience_ms), kMostPatience);
    out.push_back({group, std::move(*members), now() + patience});
  }
  return out;
}

}  // namespace

std::optional<std::vector<ProcessFacts>> members_of(const GroupRecord& group, std::uint64_t seen,
                                                    const std::vector<ProcessFacts>& all) {
  std::vector<ProcessFacts> members;
  bool verified = false;
  for (const ProcessFacts& one : all) {
    const bool is_leader = one.pid == group.leader;
    if (is_leader && one.start != group.start) return std::vector<ProcessFacts>{};  // the number is another process
    if (one.group != group.leader || (group.alone && !is_leader)) continue;
    verified = verified || is_leader;  // even as a zombie
    if (!one.lives) continue;
    verified = verified || (one.session == group.leader && one.start >= group.start && one.start < seen);
    members.push_back(one);
  }
  if (!members.empty() && !verified) return std::nullopt;
  return members;
}

FormerConnections connections_of(const std::vector<WorkerRecord>& workers, const std::vector<ProcessFacts>& all) {
  FormerConnections out;
  for (const WorkerRecord& worker : workers) {
    const auto is_worker = [&worker](const ProcessFacts& one) {
      return one.pid == worker.pid && one.start == worker.start && one.lives;
    };
    if (std::ranges::none_of(all, is_worker)) continue;
    ++out.workers;
    out.connections += static_cast<std::uint32_t>(std::ranges::count_if(
        all, [&worker](const ProcessFacts& one) { return one.lives && one.parent == worker.pid; }));
  }
  return out;
}

void end_former_groups(const Runs& runs) {
  std::vector<Ending> endings = begin_endings(runs);
  while (!endings.empty()) {
    (void)::poll(nullptr, 0, kLookAgainMs);
    const std::vector<ProcessFacts> all = all_processes();
    for (Ending& ending : endings) look_at(ending, all, now());
    std::erase_if(endings, [](const Ending& one) { return one.over; });
  }
}

bool lives(const WorkerRecord& worker) noexcept {
  const auto facts = facts_of(worker.pid);
  return facts && facts->start == worker.start && facts->lives;
}

std::uint32_t children_of(const WorkerRecord& worker) noexcept {
  sys::ChildWalk walk(worker.pid);
  std::size_t count = 0;
  do {
    count += walk.next().size();
  } while (!walk.at_end());
  return static_cast<std::uint32_t>(count);
}

std::vector<WorkerRecord> clear_up_after_former_life(const RunsFile& file) {
  auto runs = file.read();
  if (!runs && runs.error().code == ENOENT) return {};
  if (!runs)
    log::Line(log::Level::warning, "root")
        .text("ignored the record of earlier runs: ")
        .text(runs.error().text())
        .write();
  if (!runs || !*runs) {
    file.remove();
    return {};
  }
  const FormerConnections former = connections_of((*runs)->workers, all_processes());
  if (former.connections != 0) {
    log::Line(log::Level::info, "root")
        .text("connections of the previous daemon's workers continue until they end; they are not counted")
        .field("connections", former.connections)
        .field("workers", former.workers)
        .write();
  }
  end_former_groups(**runs);
  file.remove();
  std::erase_if((*runs)->workers, [](const WorkerRecord& worker) { return !lives(worker); });
  return std::move((*runs)->workers);
}

}  // namespace bulkhead::process
