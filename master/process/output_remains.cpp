#include "master/process/output_remains.h"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace bulkhead::process {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(100);
constexpr std::ptrdiff_t kMostOfOne = 4;

}  // namespace

void OutputRemains::add(std::string path, Instant now, Instant deadline, std::unique_ptr<ChildOutput> output) {
  // What was killed a moment ago needs another one to be gone.
  deadline = std::max(deadline, now + kLookAgain);
  make_room_for(path);
  remains_.push_back({std::move(path), now + kLookAgain, deadline, std::move(output)});
}

void OutputRemains::make_room_for(const std::string& path) {
  const auto same = [&path](const Remains& remains) { return remains.path == path; };
  if (std::count_if(remains_.begin(), remains_.end(), same) < kMostOfOne) return;
  const auto oldest = std::find_if(remains_.begin(), remains_.end(), same);
  oldest->output->close();
  remains_.erase(oldest);
}

void OutputRemains::finish(std::chrono::milliseconds patience) {
  for (auto left = patience; left.count() > 0; --left) {
    bool waits = false;
    for (Remains& remains : remains_) {
      remains.output->read_rest();
      waits = waits || remains.output->is_held_up();
    }
    if (!waits) break;
    (void)::poll(nullptr, 0, 1);
  }
  for (Remains& remains : remains_) remains.output->close();
  remains_.clear();
}

void OutputRemains::look_at(Remains& remains, Instant now) {
  if (now < remains.next_look) return;
  remains.next_look = now + kLookAgain;
  if (now < remains.deadline && !remains.output->at_end()) return;
  remains.output->read_rest();
  if (remains.output->is_held_up()) return;
  remains.output->close();
  remains.output.reset();
}

void OutputRemains::on_deadline(Instant now) {
  for (Remains& remains : remains_) look_at(remains, now);
  std::erase_if(remains_, [](const Remains& remains) { return remains.output == nullptr; });
}

std::optional<supervision::Instant> OutputRemains::next_deadline() const {
  std::optional<Instant> next;
  for (const Remains& remains : remains_) {
    if (!next || remains.next_look < *next) next = remains.next_look;
  }
  return next;
}

}  // namespace bulkhead::process
