// What operators have made different from the configuration in effect: shown by `tree` and `diff`, and ended by
// `reload --reset`. Reads only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "master/reload/plan.h"
#include "master/running/catalogue.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::reload {

struct Difference {
  enum class How : std::uint8_t { stopped, suspended, scaled, added, deleted };
  How how = How::stopped;
  std::string path;
  bool in_tree = true;             // false: its supervisor runs without it
  std::uint32_t workers = 0;       // scaled: now,
  std::uint32_t file_workers = 0;  // and in the file
};
inline constexpr sys::EnumWords<Difference::How, sys::up_to(Difference::How::deleted)> kDifferenceWords{
    "stopped", "suspended", "scaled", "added", "deleted"};

struct Look {
  const running::Engine& engine;
  const running::Catalogue& catalogue;
  const running::Listeners& listeners;
};
// In the order of the file, then what has been added. `next`: whether a stop makes a process different from the file is
// judged by this configuration, which is about to take effect, instead of the one in effect.
[[nodiscard]] std::vector<Difference> differences(const Look& look, const config::Config* next = nullptr);
// A manual child that nobody has started yet.
[[nodiscard]] bool is_dormant(const Look& look, const std::string& path);
// For plan_reload(). `reset`: what operators have removed comes back whatever it is.
[[nodiscard]] Present present_of(const Look& look, bool reset);

// Those that a reload leaves as they are.
[[nodiscard]] std::vector<Difference> left_by(const ReloadPlan& plan, std::vector<Difference> all);
// Adds to the plan what ends them. `names`: whether the new file has an entry at a path.
void plan_reset(ReloadPlan& plan, const std::vector<Difference>& all,
                const std::function<bool(const std::string& path)>& names);

}  // namespace bulkhead::reload
