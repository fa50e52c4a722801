#include "master/journal/event_ring.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

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
  if (records_.size() > capacity_) records_.pop_front();
  if (on_event) on_event(records_.back());
}

}  // namespace bulkhead::journal
