// All events of the daemon, in order, for `bulkheadctl events` and `explain`: a store of bounded size, each entry one
// JSON object. `seq` grows by one with every event of the daemon's life, so that a reader notices when it has missed
// some.
//
// When it is full, the oldest event of the path that has most events goes: a path with many, such as a listener whose
// workers report without end, cannot push out the events of others. The numbers of what is kept may therefore have
// gaps.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace bulkhead::journal {

struct EventRecord {
  std::uint64_t seq = 0;
  std::string event;
  std::string path;
  std::string json;  // the whole object, one line without its newline
};

class EventRing {
 public:
  static constexpr std::size_t kCapacity = 10'000;

  explicit EventRing(std::size_t capacity = kCapacity) : capacity_(capacity) {}

  // `fields` is an object with the members that follow seq, time, event and path; it may be null.
  void publish(std::string_view event, std::string_view path, const nlohmann::ordered_json& fields);
  void publish(std::string_view event, std::string_view path);

  [[nodiscard]] const std::deque<EventRecord>& records() const noexcept { return records_; }
  [[nodiscard]] std::uint64_t last_seq() const noexcept { return seq_; }
  // The greatest number that is no longer there; 0: none is missing.
  [[nodiscard]] std::uint64_t last_dropped() const noexcept { return last_dropped_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  // Continues where another program's ring has ended.
  void resume(std::deque<EventRecord> records, std::uint64_t last_seq);

  // Called for every event as it is published; at most one observer (the control server).
  std::function<void(const EventRecord&)> on_event;

 private:
  std::size_t capacity_;
  void make_room();

  std::deque<EventRecord> records_;
  std::map<std::string, std::size_t, std::less<>> counts_;  // of records, by path
  std::uint64_t seq_ = 0;
  std::uint64_t last_dropped_ = 0;
};

// A time as RFC 3339 in UTC with milliseconds, as in the log.
[[nodiscard]] std::string wall_clock_text(
    std::chrono::system_clock::time_point time = std::chrono::system_clock::now());

}  // namespace bulkhead::journal
