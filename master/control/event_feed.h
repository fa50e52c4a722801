// Sends the events of the ring to one client: first the answer to `events`, {"events":[…],"last_seq":N,"missed":bool},
// then, if the client follows, one `event` notification for each event. It is written piece by piece as the client
// reads, straight from the ring, so that neither a long ring nor a slow reader costs memory.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "master/journal/event_ring.h"

namespace bulkhead::control {

class EventFeed {
 public:
  struct From {
    std::optional<std::uint64_t> since{};  // only events after this number
    std::optional<std::uint64_t> last{};   // only the last so many of them
  };
  // The answer has the events that the ring holds now, `from` there on. The ring must outlive it.
  EventFeed(const journal::EventRing& ring, nlohmann::ordered_json id, const From& from, bool follow);

  // Appends to `out`, until it holds `limit` bytes or no event is left for now.
  void fill(std::string& out, std::size_t limit);
  // Call it for every event that is published later.
  void published(const journal::EventRecord& record);

  [[nodiscard]] bool answering() const noexcept { return phase_ != Phase::following; }
  [[nodiscard]] bool follows() const noexcept { return follow_; }
  [[nodiscard]] bool finished() const noexcept { return !answering() && !follow_; }
  // Bytes of notifications that have not been taken by fill().
  [[nodiscard]] std::size_t behind() const noexcept { return behind_; }
  // True if the ring has dropped an event that the client has not been sent.
  [[nodiscard]] bool overtaken() const noexcept;

 private:
  enum class Phase : std::uint8_t { head, events, following };

  void skip_to_the_last(std::uint64_t count);
  void answer(std::string& out, std::size_t limit);
  void notify(std::string& out, std::size_t limit);
  [[nodiscard]] const journal::EventRecord* next();

  const journal::EventRing& ring_;
  nlohmann::ordered_json id_;
  Phase phase_ = Phase::head;
  bool follow_;
  bool missed_ = false;
  bool first_ = true;
  std::uint64_t next_seq_ = 0;
  std::uint64_t last_seq_;      // of the answer
  std::uint64_t last_dropped_;  // of the ring, when it was looked at
  std::size_t behind_ = 0;
};

}  // namespace bulkhead::control
