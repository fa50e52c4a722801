#include "master/journal/event_ring.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::journal {

std::string wall_clock_text(std::chrono::system_clock::time_point time) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     milliseconds);
}

void EventRing::publish(std::string_view event, std::string_view path) {
  publish(event, path, nlohmann::ordered_json(nullptr));
}

void EventRing::publish(std::string_view event, std::string_view path, const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json object{{"seq", ++seq_}, {"time", wall_clock_text()}, {"event", event}, {"path", path}};
  if (fields.is_object()) object.update(fields);
  // Paths are ASCII by the rules of the configuration. A byte that is not is replaced: dump() would throw.
  std::string text = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  records_.push_back({seq_, std::string(event), std::string(path), std::move(text)});
  ++counts_[records_.back().path];
  make_room();
  if (on_event) on_event(records_.back());
}

void EventRing::make_room() {
  while (records_.size() > capacity_) {
    const auto most = std::ranges::max_element(counts_, {}, [](const auto& count) { return count.second; });
    const auto oldest = std::ranges::find(records_, most->first, &EventRecord::path);
    last_dropped_ = std::max(last_dropped_, oldest->seq);
    if (--most->second == 0) counts_.erase(most);
    records_.erase(oldest);
  }
}

void EventRing::resume(std::deque<EventRecord> records, std::uint64_t last_seq) {
  records_ = std::move(records);
  counts_.clear();
  last_dropped_ = 0;
  std::uint64_t expected = 1;
  for (const EventRecord& record : records_) {
    ++counts_[record.path];
    if (record.seq != expected) last_dropped_ = record.seq - 1;
    expected = record.seq + 1;
  }
  if (expected <= last_seq) last_dropped_ = last_seq;
  make_room();
  seq_ = last_seq;
}

}  // namespace bulkhead::journal
