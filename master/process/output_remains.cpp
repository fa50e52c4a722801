#include "master/process/output_remains.h"

#include <algorithm>
#include <utility>

namespace bulkhead::process {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(100);

}  // namespace

void OutputRemains::add(std::string path, Instant now, Instant deadline, std::unique_ptr<ChildOutput> output) {
  // What was killed a moment ago needs another one to be gone.
  deadline = std::max(deadline, now + kLookAgain);
  remains_.push_back({std::move(path), now + kLookAgain, deadline, std::move(output)});
}

void OutputRemains::look_at(Remains& remains, Instant now) {
  if (now < remains.next_look) return;
  remains.next_look = now + kLookAgain;
  if (now < remains.deadline && !remains.output->at_end()) return;
  remains.output->read_rest();
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
