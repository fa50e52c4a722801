#include "master/supervision/restart_intensity.h"

#include <catch2/catch.hpp>
#include <vector>

namespace bulkhead::supervision {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

Instant at(Duration since) {
  return Instant(seconds(1000)) + since;
}

}  // namespace

TEST_CASE("max_restarts restarts within max_seconds are allowed and the next one is not") {
  struct Row {
    const char* name;
    std::uint32_t max_restarts;
    Duration max_seconds;
    std::vector<int> at_ms;
    std::vector<bool> allowed;
  };
  const std::vector<Row> rows{
      {"three at once, then one more", 3, seconds(5), {0, 0, 0, 0}, {true, true, true, false}},
      {"the seconds 0, 1, 2, 3 trip 3 in 5", 3, seconds(5), {0, 1000, 2000, 3000}, {true, true, true, false}},
      {"the seconds 0, 2, 4, 6 never do", 3, seconds(5), {0, 2000, 4000, 6000}, {true, true, true, true}},
      {"exactly max_seconds ago still counts", 1, seconds(5), {0, 5000}, {true, false}},
      {"a millisecond more does not", 1, seconds(5), {0, 5001}, {true, true}},
      {"none allowed", 0, seconds(5), {0, 60000}, {false, false}},
      {"the window slides", 2, seconds(2), {0, 1500, 3100, 4700, 4800}, {true, true, true, true, false}},
      {"a quiet time gives the whole allowance back",
       2,
       seconds(1),
       {0, 0, 3000, 3000, 3000},
       {true, true, true, true, false}},
      {"a window of a millisecond", 1, milliseconds(1), {0, 2, 4, 5}, {true, true, true, false}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    RestartIntensity intensity(row.max_restarts, row.max_seconds);
    std::vector<bool> allowed;
    for (const int ms : row.at_ms) allowed.push_back(intensity.count(at(milliseconds(ms))));
    CHECK(allowed == row.allowed);
  }
}

TEST_CASE("the edge of the window is exact to the nanosecond") {
  for (const int beyond : {0, 1}) {
    RestartIntensity intensity(1, seconds(5));
    REQUIRE(intensity.count(at({})));
    CHECK(intensity.count(at(seconds(5) + nanoseconds(beyond))) == (beyond == 1));
  }
}

TEST_CASE("the number of restarts in the window falls as time passes") {
  RestartIntensity intensity(3, seconds(5));
  CHECK(intensity.in_window(at({})) == 0);
  REQUIRE(intensity.count(at({})));
  REQUIRE(intensity.count(at(seconds(2))));
  CHECK(intensity.in_window(at(seconds(5))) == 2);
  CHECK(intensity.in_window(at(seconds(6))) == 1);
  CHECK(intensity.in_window(at(seconds(8))) == 0);
}

TEST_CASE("without a limit every restart is allowed, and the memory of them is bounded") {
  RestartIntensity intensity({}, seconds(5));
  for (int i = 0; i < 20'000; ++i) REQUIRE(intensity.count(at({})));
  CHECK(intensity.in_window(at({})) == RestartIntensity::kMostRemembered);
  CHECK(intensity.in_window(at(seconds(6))) == 0);
  REQUIRE(intensity.count(at(seconds(6))));
  intensity.limit(1, seconds(5));
  CHECK_FALSE(intensity.count(at(seconds(7))));
}

TEST_CASE("the largest max_restarts and max_seconds are counted without overflow") {
  RestartIntensity intensity(1'000'000, std::chrono::hours(24 * 365 * 30));
  for (int i = 0; i < 1'000'000; ++i) {
    if (!intensity.count(at(milliseconds(i)))) FAIL("refused at " << i);
  }
  CHECK_FALSE(intensity.count(at(seconds(2000))));
  CHECK(intensity.in_window(at(seconds(2000))) == 1'000'000);
}

}  // namespace bulkhead::supervision
