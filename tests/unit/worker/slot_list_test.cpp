#include "worker/slot_list.h"

#include <catch2/catch.hpp>
#include <deque>
#include <random>

using namespace bulkhead::worker;

TEST_CASE("slots are removed from the front, the end and the middle of a list, and added again") {
  SlotLinks links(5);
  SlotList list(links);
  CHECK(list.empty());
  for (const std::uint32_t slot : {3u, 0u, 4u, 1u}) list.push_back(slot);
  CHECK(list.front() == 3);
  list.remove(0);
  list.remove(3);
  CHECK(list.front() == 4);
  list.remove(1);
  list.push_back(3);
  list.remove(4);
  CHECK(list.front() == 3);
  list.remove(3);
  CHECK(list.empty());
}

TEST_CASE("two lists share their links, and keep the order of arrival over any history") {
  constexpr std::uint32_t kSlots = 64;
  SlotLinks links(kSlots);
  SlotList lists[2] = {SlotList(links), SlotList(links)};
  std::deque<std::uint32_t> expected[2];
  std::mt19937 random(8);
  int where[kSlots];
  for (int& one : where) one = -1;
  for (int round = 0; round < 20'000; ++round) {
    const auto slot = static_cast<std::uint32_t>(random() % kSlots);
    const int old = where[slot];
    if (old >= 0) {
      lists[old].remove(slot);
      std::erase(expected[old], slot);
    }
    where[slot] = static_cast<int>(random() % 3) - 1;
    if (where[slot] >= 0) {
      lists[where[slot]].push_back(slot);
      expected[where[slot]].push_back(slot);
    }
    for (int i = 0; i < 2; ++i) {
      REQUIRE(lists[i].empty() == expected[i].empty());
      if (!expected[i].empty()) REQUIRE(lists[i].front() == expected[i].front());
    }
  }
}
