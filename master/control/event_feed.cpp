#include "master/control/event_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/protocol/protocol.h"

namespace bulkhead::control {

EventFeed::EventFeed(const journal::EventRing& ring, nlohmann::ordered_json id, std::optional<std::uint64_t> since,
                     bool follow)
    : ring_(ring), id_(std::move(id)), follow_(follow), last_seq_(ring.last_seq()) {
  next_seq_ = since ? std::min(*since, last_seq_) + 1 : oldest();
  // A number that is too high comes from an earlier run of the daemon: the events after it are unknown, and so missed.
  missed_ = since && (*since > last_seq_ || (*since < last_seq_ && *since + 1 < oldest()));
}

std::uint64_t EventFeed::oldest() const noexcept {
  return ring_.records().empty() ? ring_.last_seq() + 1 : ring_.records().front().seq;
}

bool EventFeed::overtaken() const noexcept {
  return !answering() && follow_ && next_seq_ < oldest();
}

// The ring's numbers have no gaps, so the position follows from the number.
const journal::EventRecord* EventFeed::next() {
  if (next_seq_ < oldest()) {
    missed_ = true;
    next_seq_ = oldest();
  }
  return next_seq_ > ring_.last_seq() ? nullptr : &ring_.records().at(next_seq_ - oldest());
}

void EventFeed::fill(std::string& out, std::size_t limit) {
  if (answering()) answer(out, limit);
  if (!answering() && follow_ && !overtaken()) notify(out, limit);
}

void EventFeed::answer(std::string& out, std::size_t limit) {
  if (phase_ == Phase::head) {
    out += protocol::result_head(id_) + "{\"events\":[";
    phase_ = Phase::events;
  }
  for (const journal::EventRecord* record = next(); record != nullptr && record->seq <= last_seq_; record = next()) {
    if (out.size() >= limit) return;
    if (!std::exchange(first_, false)) out += ',';
    out += record->json;
    ++next_seq_;
  }
  out += fmt::format("],\"last_seq\":{},\"missed\":{}}}{}", last_seq_, missed_, protocol::kResultTail);
  next_seq_ = last_seq_ + 1;
  phase_ = Phase::following;
}

void EventFeed::notify(std::string& out, std::size_t limit) {
  for (const journal::EventRecord* record = next(); record != nullptr && out.size() < limit; record = next()) {
    out += protocol::event_line(record->json);
    behind_ -= std::min(behind_, record->json.size());
    ++next_seq_;
  }
}

void EventFeed::published(const journal::EventRecord& record) {
  if (follow_) behind_ += record.json.size();
}

}  // namespace bulkhead::control
