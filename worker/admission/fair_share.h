// Keeps one worker from taking everything. All workers are woken by a new connection, and the one whose caches are warm
// is the quickest again and again; so whoever is ahead of the others lets them go first, for a moment. Pure.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

class FairShare {
 public:
  // What one may take for every `kOther` of the average of the others: with two workers, six in ten. Load swings to and
  // fro by itself, and stepping aside for each swing would leave CPUs idle.
  static constexpr std::int64_t kOwn = 3;
  static constexpr std::int64_t kOther = 2;
  // How many connections may come on top of that.
  static constexpr std::int64_t kLead = 16;
  // For how long one steps aside at first, in nanoseconds: long enough for somebody who was woken to run, and too short
  // for a CPU to miss it.
  static constexpr std::int64_t kStepAside = 1'000'000;
  // How often in vain, each time for twice as long, before the others are taken to be stopped or paused: on a busy
  // machine one who is woken waits for a turn of the scheduler.
  static constexpr std::uint32_t kPatience = 3;

  // Counts from here on; once a second.
  void begin(std::uint64_t mine, std::uint64_t others) noexcept;
  // Nanoseconds to step aside for, now that we are ahead.
  [[nodiscard]] std::int64_t step_aside() const noexcept;
  // Stepping aside was of use.
  void others_came() noexcept { vain_ = 0; }
  // It was not. When patience is over: twice the lead until the next begin(), so that waiting for somebody who does not
  // come costs some milliseconds of a second and no more.
  void in_vain(std::uint64_t mine, std::uint64_t others) noexcept;
  // `mine` and `others` are how many connections this worker, and the `workers` others together, have taken so far.
  [[nodiscard]] bool ahead(std::uint64_t mine, std::uint64_t others, std::uint32_t workers) const noexcept;

 private:
  std::uint64_t mine_ = 0;
  std::uint64_t others_ = 0;
  std::int64_t lead_ = kLead;
  std::uint32_t vain_ = 0;
};

}  // namespace bulkhead::admission
