#include "worker/wear.h"

#include <catch2/catch.hpp>

namespace bulkhead::worker {
namespace {

using ipc::WornReason;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kBegan = 100 * kSecond;

}  // namespace

TEST_CASE("without limits a worker is never worn") {
  Wear wear({}, kBegan);
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(wear.accepted());
    CHECK_FALSE(wear.crashed(kBegan));
  }
  CHECK_FALSE(wear.reason(kBegan + 1'000'000 * kSecond));
  CHECK_FALSE(wear.is_exposed());
}

TEST_CASE("it is worn after so many connections, which is told once, and stays so") {
  Wear wear({.accepts = 3}, kBegan);
  CHECK_FALSE(wear.accepted());
  CHECK_FALSE(wear.accepted());
  CHECK_FALSE(wear.reason(kBegan));
  CHECK(wear.accepted());
  CHECK_FALSE(wear.accepted());
  CHECK(wear.reason(kBegan) == WornReason::max_accepts);
  CHECK_FALSE(wear.is_exposed());
}

TEST_CASE("it is worn at an age") {
  const Wear wear({.age_ns = 60 * kSecond}, kBegan);
  CHECK_FALSE(wear.reason(kBegan + 60 * kSecond - 1));
  CHECK(wear.reason(kBegan + 60 * kSecond) == WornReason::max_age);
}

TEST_CASE("it is worn after so many crashes within the time, and accepts nothing more") {
  Wear wear({.accepts = 1, .crashes = 3, .crashes_within_ns = 10 * kSecond}, kBegan);
  CHECK(wear.accepted());
  CHECK_FALSE(wear.crashed(kBegan));
  CHECK_FALSE(wear.crashed(kBegan + 5 * kSecond));
  CHECK_FALSE(wear.crashed(kBegan + 10 * kSecond));  // the first one is out
  CHECK(wear.reason(kBegan + 10 * kSecond) == WornReason::max_accepts);
  CHECK(wear.crashed(kBegan + 15 * kSecond - 1));
  CHECK_FALSE(wear.crashed(kBegan + 15 * kSecond));
  CHECK(wear.is_exposed());
  CHECK(wear.reason(kBegan + 1000 * kSecond) == WornReason::max_crashes);
}

TEST_CASE("crashes that are further apart never wear it") {
  Wear wear({.crashes = 2, .crashes_within_ns = kSecond}, kBegan);
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(wear.crashed(kBegan + i * kSecond));
  CHECK_FALSE(wear.is_exposed());
}

TEST_CASE("a limit of one crash is reached by the first") {
  Wear wear({.crashes = 1, .crashes_within_ns = kSecond}, kBegan);
  CHECK(wear.crashed(kBegan));
}

}  // namespace bulkhead::worker
