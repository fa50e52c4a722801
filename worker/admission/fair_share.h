// Keeps one worker from taking everything. All workers are woken by a new connection, and the one whose caches are warm
// is the quickest again and again; so a worker that is ahead of the others lets them go first, for a moment. Pure.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

class FairShare {
 public:
  // How many connections one worker may take for every `kOther` of the average of the others: with two workers, six in
  // ten. Load swings to and fro by itself, and stepping aside for each swing would leave CPUs idle.
  static constexpr std::int64_t kOwn = 3;
  static constexpr std::int64_t kOther = 2;
  // How many connections may come on top of that.
  static constexpr std::int64_t kLead = 16;
  // How long a worker steps aside at first, in nanoseconds: long enough for another that was woken to run, and too
  // short to leave a CPU idle.
  static constexpr std::int64_t kStepAside = 1'000'000;
  // How often it steps aside without effect, each time for twice as long, before the others are considered stopped or
  // paused: on a busy machine a woken worker waits for its turn of the scheduler.
  static constexpr std::uint32_t kPatience = 3;

  // Starts to count from zero; called once a second.
  void begin(std::uint64_t mine, std::uint64_t others) noexcept;
  // For how many nanoseconds to step aside, now that we are ahead.
  [[nodiscard]] std::int64_t step_aside() const noexcept;
  // Another worker took a connection meanwhile.
  void others_came() noexcept { vain_ = 0; }
  // None did. When this has happened often enough, the lead is doubled until the next begin(), so that waiting for a
  // worker that does not come costs some milliseconds of a second at most.
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
