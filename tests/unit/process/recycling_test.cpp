#include "master/process/recycling.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace bulkhead::process {

using ipc::WornReason;

TEST_CASE("a worker that asks is replaced once it has served for a moment") {
  RecycleQuestion question{.served = kLeastService};
  CHECK(may_recycle(question));
  question.served -= std::chrono::nanoseconds(1);
  for (const auto reason : {WornReason::max_accepts, WornReason::max_age, WornReason::max_crashes}) {
    question.reason = reason;
    CHECK_FALSE(may_recycle(question));
  }
}

TEST_CASE("a worker that does not serve, or leaves anyway, is not replaced") {
  for (const auto state : {RunState::starting, RunState::leaving}) {
    CHECK_FALSE(may_recycle({.state = state, .served = kLeastService}));
  }
  CHECK_FALSE(may_recycle({.leaves_anyway = true, .served = kLeastService}));
}

TEST_CASE("one worker of a listener is replaced at a time, except for crashes") {
  for (const auto reason : {WornReason::max_accepts, WornReason::max_age}) {
    CHECK_FALSE(may_recycle({.reason = reason, .sibling_is_missing = true, .served = kLeastService}));
  }
  CHECK(may_recycle({.reason = WornReason::max_crashes, .sibling_is_missing = true, .served = kLeastService}));
}

TEST_CASE("what nothing limits is no reason") {
  config::Recycling limits;
  for (const auto reason : {WornReason::max_accepts, WornReason::max_age, WornReason::max_crashes}) {
    CHECK_FALSE(is_limited(limits, reason));
  }
  limits.max_age = std::chrono::hours(1);
  CHECK(is_limited(limits, WornReason::max_age));
  CHECK_FALSE(is_limited(limits, WornReason::max_crashes));
}

TEST_CASE("the reason is told in the words of the configuration") {
  const config::Recycling limits{.max_accepts = 5, .max_age = {}, .max_crashes = {10, std::chrono::minutes(1)}};
  CHECK(recycle_text(limits, WornReason::max_accepts) == "max_accepts reached");
  CHECK(recycle_text(limits, WornReason::max_age) == "max_age reached");
  CHECK(recycle_text(limits, WornReason::max_crashes) == "10 connections crashed within 1m");
  CHECK(recycle_text({.max_age = {}, .max_crashes = {1, std::chrono::seconds(3)}}, WornReason::max_crashes) ==
        "1 connection crashed within 3s");
}

TEST_CASE("each worker draws limits of its own, around those of the configuration") {
  const config::Recycling limits{
      .max_accepts = 100, .max_accepts_jitter = 25, .max_age = std::chrono::seconds(100), .max_crashes = {}};
  std::uint64_t least = ~0ULL;
  std::uint64_t most = 0;
  for (std::uint64_t random = 0; random < 1000; ++random) {
    const ipc::WearLimits one = draw_wear(limits, random, random * 1'000'000'007);
    least = std::min(least, one.accepts);
    most = std::max(most, one.accepts);
    CHECK(one.age_ns >= 75'000'000'000);
    CHECK(one.age_ns <= 125'000'000'000);
  }
  CHECK(least == 75);
  CHECK(most == 125);
}

TEST_CASE("a drawn limit is never 0, which would mean none") {
  const config::Recycling limits{.max_accepts = 3, .max_accepts_jitter = 3, .max_age = {}, .max_crashes = {}};
  for (std::uint64_t random = 0; random < 20; ++random) CHECK(draw_wear(limits, random, 0).accepts >= 1);
  const ipc::WearLimits none = draw_wear({}, 17, 17);
  CHECK(none.accepts == 0);
  CHECK(none.age_ns == 0);
  CHECK(none.crashes == 0);
}

}  // namespace bulkhead::process
