#include "master/process/strays.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/title.h"

namespace bulkhead::process {

namespace {

constexpr std::chrono::seconds kPatience{5};  // a process may hang in a system call
constexpr std::chrono::milliseconds kExec{200};
constexpr std::chrono::milliseconds kNextLook{10};

bool is_of_another_program(const std::string& title) {
  return !title.empty() && !title.starts_with("bulkheadd: ");
}

}  // namespace

std::string starting_title() {
  return fmt::format("{:<{}}", "bulkheadd: worker", sys::kTitleLength);
}

StraySearch::StraySearch(Instant now) noexcept : deadline_(now + kPatience) {}

void StraySearch::add(Left left) {
  left_.push_back(std::move(left));
  again_ = true;
}

const StraySearch::Left* StraySearch::owner_of(ChildSystem& system, pid_t pid, const std::string& title) const {
  const bool is_fork = title == starting_title();
  if (!is_fork && !is_of_another_program(title)) return nullptr;
  const auto began = system.start_time(pid);
  if (!began) return nullptr;
  const auto owner = std::find_if(left_.rbegin(), left_.rend(), [&](const Left& left) {
    return *began >= left.began && (is_fork || system.holds_any(pid, left.sockets));
  });
  return owner == left_.rend() ? nullptr : &*owner;
}

// In the middle of an exec a process has neither its old title nor the new one.
bool StraySearch::may_be_executing(ChildSystem& system, pid_t pid) const {
  const auto began = system.start_time(pid);
  const auto is_older = [&began](const Left& left) { return left.began <= *began; };
  return began && std::ranges::any_of(left_, is_older) && !system.has_ended(pid);
}

// `pid` is an unreaped child of ours.
void StraySearch::look_at(ChildSystem& system, pid_t pid, Instant now) {
  const std::string title = system.title(pid);
  if (title.empty() && may_be_executing(system, pid)) {
    if (!executes_until_) executes_until_ = now + kExec;
    if (now < *executes_until_) next_look_ = now + kNextLook;
    return;
  }
  const Left* const owner = owner_of(system, pid, title);
  if (owner == nullptr) return;
  const bool sent = system.signal(pid, SIGKILL, false);
  if (sent) {
    again_ = true;
    killed_.insert(pid);
  }
  if (!told_.insert(pid).second) return;
  log::Line(sent ? log::Level::warning : log::Level::error, owner->path)
      .text(sent ? "left a process behind when it failed to start: killed"
                 : "left a process behind when it failed to start, which cannot be killed")
      .field("pid", pid)
      .write();
}

// True: all children have been looked at.
bool StraySearch::walk(ChildSystem& system, const IsKnown& is_known, Instant now) {
  const std::int64_t began = sys::monotonic_ns();
  for (bool first = !std::exchange(walks_, true);; first = false) {
    if (ahead_.empty() && !first && walk_.at_end()) break;
    if (ahead_.empty()) ahead_ = system.next_children(walk_);
    for (; !ahead_.empty() && sys::monotonic_ns() - began < sys::kSlice; ahead_.pop_back()) {
      const pid_t pid = ahead_.back();
      // Since the walk came to it, it may have been reaped.
      if (!is_known(pid) && system.is_child(pid)) look_at(system, pid, now);
    }
    if (sys::monotonic_ns() - began >= sys::kSlice) return false;
  }
  walks_ = false;
  return true;
}

StraySearch::Step StraySearch::go_on(ChildSystem& system, const IsKnown& is_known, Instant now) {
  if (now >= deadline_) {
    give_up();
    return Step::over;
  }
  if (!walks_) {
    if (!killed_.empty() || now < next_look_) return Step::waits;
    const bool looks_again = std::exchange(next_look_, std::nullopt).has_value();
    if (!std::exchange(again_, false) && !looks_again) return Step::over;
  }
  if (!walk(system, is_known, now)) return Step::again;
  if (!killed_.empty()) return Step::waits;
  if (again_) return Step::again;
  return next_look_ ? Step::waits : Step::over;
}

StraySearch::Instant StraySearch::deadline() const noexcept {
  return next_look_ && killed_.empty() ? std::min(deadline_, *next_look_) : deadline_;
}

void StraySearch::give_up() const {
  for (const pid_t pid : killed_) {
    log::Line(log::Level::error, left_.back().path)
        .text("a process that a failed start left behind does not end although it was killed")
        .field("pid", pid)
        .write();
  }
}

}  // namespace bulkhead::process
