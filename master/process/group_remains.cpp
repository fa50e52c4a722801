#include "master/process/group_remains.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "worker/log/log.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(100);

}  // namespace

void GroupRemains::add(std::string path, pid_t group, Instant now, Instant deadline,
                       std::unique_ptr<ChildOutput> output) {
  // Processes that were killed together with their leader need a moment to disappear.
  deadline = std::max(deadline, now + kLookAgain);
  remains_.push_back({std::move(path), group, now + kLookAgain, deadline, std::move(output)});
}

void GroupRemains::look_at(Remains& remains, Instant now) {
  if (now < remains.next_look) return;
  remains.next_look = now + kLookAgain;
  const bool due = now >= remains.deadline;
  const auto group = sys::end_left_over(remains.group, due);
  if (group == sys::LeftoverGroup::gone) remains.group = 0;
  if (group == sys::LeftoverGroup::killed) {
    log::Line(log::Level::warning, remains.path).text("killed the rest of its process group").write();
  }
  if (due || (remains.group == 0 && remains.output->at_end())) end(remains);
}

void GroupRemains::end(Remains& remains) {
  remains.output->read_rest();
  remains.output->close();
  remains.output.reset();
}

void GroupRemains::on_deadline(Instant now) {
  for (Remains& remains : remains_) look_at(remains, now);
  std::erase_if(remains_, [](const Remains& remains) { return remains.output == nullptr; });
}

std::optional<supervision::Instant> GroupRemains::next_deadline() const {
  std::optional<Instant> next;
  for (const Remains& remains : remains_) {
    if (!next || remains.next_look < *next) next = remains.next_look;
  }
  return next;
}

void GroupRemains::kill_all() {
  for (Remains& remains : remains_) {
    sys::end_left_over(remains.group, true);
  }
}

std::size_t GroupRemains::groups_left() const {
  return static_cast<std::size_t>(std::count_if(
      remains_.begin(), remains_.end(), [](const Remains& remains) { return sys::is_left_over(remains.group); }));
}

}  // namespace bulkhead::process
