// What a sandbox forbids, in sentences: one line for each wall, with the key that changes it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/sandbox/policy.h"

namespace bulkhead::sandbox {

enum class Holds : std::uint8_t { yes, no, part };  // part: less than its key says
inline constexpr sys::EnumWords<Holds, sys::up_to(Holds::part)> kHoldsWords{"yes", "no", "partly"};

struct Wall {
  std::string name;
  Holds holds = Holds::no;
  std::string text;  // what is forbidden, or that nothing is
  std::string key;   // in the child's entry
};

// Who runs in it, and on what.
struct Setting {
  bool is_listener = true;  // otherwise a process
  bool is_root = false;
  std::string user;           // its name or number; empty: the daemon's
  long landlock = 0;          // the version of its ABI; 0: none
  bool has_own_user = false;  // which no other listener has
};

[[nodiscard]] std::vector<Wall> walls_of(const Policy& policy, const Setting& setting);

}  // namespace bulkhead::sandbox
