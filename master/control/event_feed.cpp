#include "master/control/event_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/protocol/protocol.h"

namespace bulkhead::control {

EventFeed::EventFeed(const journal::EventRing& ring, nlohmann::ordered_json id, const From& from, bool follow)
    : ring_(ring), id_(std::move(id)), follow_(follow), last_seq_(ring.last_seq()), last_dropped_(ring.last_dropped()) {
  const std::optional<std::uint64_t> since = from.since;
  next_seq_ = since ? std::min(*since, last_seq_) + 1 : 1;
  // A number that is too high comes from an earlier run of the daemon: the events after it are unknown, and so missed.
  missed_ = since && (*since > last_seq_ || *since < last_dropped_);
  if (from.last) skip_to_the_last(*from.last);
}

void EventFeed::skip_to_the_last(std::uint64_t count) {
  const auto& records = ring_.records();
  if (count == 0) next_seq_ = last_seq_ + 1;
  if (count == 0 || count >= records.size()) return;
  next_seq_ = std::max(next_seq_, records[records.size() - count].seq);
}

bool EventFeed::overtaken() const noexcept {
  return !answering() && follow_ && next_seq_ <= ring_.last_dropped();
}

// Skips the numbers that the ring no longer has.
const journal::EventRecord* EventFeed::next() {
  if (last_dropped_ != ring_.last_dropped()) {
    last_dropped_ = ring_.last_dropped();
    missed_ = missed_ || next_seq_ <= last_dropped_;
  }
  const auto found = std::ranges::lower_bound(ring_.records(), next_seq_, {}, &journal::EventRecord::seq);
  if (found == ring_.records().end()) return nullptr;
  next_seq_ = found->seq;
  return &*found;
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
