#include "worker/pid_map.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

using bulkhead::worker::kNoEntry;
using bulkhead::worker::PidMap;

TEST_CASE("a pid is found once, and unknown afterwards") {
  PidMap map(4);
  map.put(812, 3);
  CHECK(map.size() == 1);
  CHECK(map.find(812) == 3);
  CHECK(map.find(813) == kNoEntry);
  CHECK(map.take(812) == 3);
  CHECK(map.take(812) == kNoEntry);
  CHECK(map.size() == 0);
}

TEST_CASE("a long mixed history agrees with std::map", "[property]") {
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

TEST_CASE("a walk visits every entry, even if half of them are removed during it") {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    PidMap map(64);
    std::set<pid_t> there;
    while (there.size() < 64) there.insert(static_cast<pid_t>(random() % 100'000) + 2);
    for (const pid_t pid : there) map.put(pid, 0);
    std::set<pid_t> met;
    std::set<pid_t> left;
    std::size_t at = 0;
    while (const pid_t pid = map.next(at)) {
      met.insert(pid);
      if (pid % 2 == 0) {
        REQUIRE(map.take(pid) == 0);
      } else {
        left.insert(pid);
        ++at;
      }
    }
    REQUIRE(met == there);
    REQUIRE(map.size() == left.size());
  }
}
