#include "worker/pid_map.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

using bulkhead::worker::kNoEntry;
using bulkhead::worker::PidMap;

TEST_CASE("A pid is found once, and unknown afterwards") {
  PidMap map(4);
  map.put(812, 3);
  CHECK(map.size() == 1);
  CHECK(map.take(812) == 3);
  CHECK(map.take(812) == kNoEntry);
  CHECK(map.size() == 0);
}

TEST_CASE("A long mixed history agrees with std::map") {
  PidMap map(64);
  std::map<int, std::uint32_t> model;
  std::mt19937 random(1);
  for (std::uint32_t round = 0; round < 100'000; ++round) {
    const int pid = static_cast<int>(random() % 300) + 2;
    if (model.contains(pid) || model.size() == 64) {
      const auto found = model.find(pid);
      const std::uint32_t expected = found == model.end() ? kNoEntry : found->second;
      if (found != model.end()) model.erase(found);
      REQUIRE(map.take(pid) == expected);
    } else {
      model[pid] = round;
      map.put(pid, round);
    }
    REQUIRE(map.size() == model.size());
  }
}
