// Keeps one worker from taking everything. All workers are woken by a new connection, and the one whose caches are warm is
// the quickest again and again; so whoever is ahead of the others lets them go first, for a moment. Pure.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

class FairShare {
 public:
  // How many connections one may be ahead of the average of the others.
  static constexpr std::int64_t kLead = 16;
  static constexpr std::int64_t kStepAside = 1'000'000;  // nanoseconds

  // Counts from here on: every second, and when stepping aside did not help, because the others are stopped or paused.
  void begin(std::uint64_t mine, std::uint64_t others) noexcept {
    mine_ = mine;
    others_ = others;
  }
  // `mine` and `others` are how many connections this worker, and the `workers` others together, have taken so far.
  [[nodiscard]] bool ahead(std::uint64_t mine, std::uint64_t others, std::uint32_t workers) const noexcept;

 private:
  std::uint64_t mine_ = 0;
  std::uint64_t others_ = 0;
};

}  // namespace bulkhead::admission
