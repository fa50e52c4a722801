// When a reload that has to be confirmed goes back, and to what.
#include "master/reload/confirmation.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace bulkhead::reload {
namespace {

using namespace std::chrono_literals;
using supervision::Instant;
using Answer = Confirmation::Answer;
using Effect = Confirmation::Effect;
using State = Confirmation::State;

Instant at(std::chrono::seconds time) {
  return Instant(time);
}

const Former kA{"a"};
const Former kB{"b"};

TEST_CASE("what is not confirmed in time is due, and ends when the configuration before is back") {
  Confirmation one;
  CHECK(one.took_effect(kA, "b", 60s, at(100s)) == Effect::begun);
  CHECK_FALSE(one.expire(at(159s)));
  CHECK(one.expire(at(160s)));
  CHECK(one.is_due());
  CHECK_FALSE(one.expire(at(161s)));
  REQUIRE(one.unconfirmed());
  CHECK(one.unconfirmed()->before.effective == "a");
  one.begin_return();
  CHECK(one.confirm() == Answer::too_late);
  CHECK(one.took_effect(kB, "a", std::nullopt, at(170s)) == Effect::returned);
  CHECK(one.state() == State::none);
  CHECK(one.confirm() == Answer::nothing_waits);
}

TEST_CASE("a return that fails is tried again, and may be confirmed until then") {
  Confirmation one;
  CHECK(one.took_effect(kA, "b", 60s, at(0s)) == Effect::begun);
  CHECK(one.expire(at(60s)));
  one.begin_return();
  one.failed(at(61s));
  CHECK_FALSE(one.expire(at(70s)));
  SECTION("nobody confirms") {
    CHECK(one.expire(at(71s)));
  }
  SECTION("confirmed") {
    CHECK(one.confirm() == Answer::confirmed);
    CHECK_FALSE(one.expire(at(99s)));
  }
}

TEST_CASE("what is confirmed stays, even if it is due and the return has not begun") {
  Confirmation one;
  CHECK(one.confirm() == Answer::nothing_waits);
  CHECK(one.took_effect(kA, "b", 60s, at(0s)) == Effect::begun);
  const bool late = GENERATE(false, true);
  if (late) CHECK(one.expire(at(60s)));
  CHECK(one.confirm() == Answer::confirmed);
  CHECK(one.confirm() == Answer::nothing_waits);
  CHECK_FALSE(one.expire(at(999s)));
}

TEST_CASE("a reload without a limit, or without a change, has nothing to confirm") {
  Confirmation one;
  CHECK(one.took_effect(kA, "b", std::nullopt, at(0s)) == Effect::none);
  CHECK_FALSE(one.unconfirmed());
  CHECK(one.took_effect(kB, "b", 60s, at(0s)) == Effect::none);
  CHECK_FALSE(one.unconfirmed());
}

TEST_CASE("a second reload keeps the configuration that was last confirmed") {
  Confirmation one;
  CHECK(one.took_effect(kA, "b", 60s, at(0s)) == Effect::begun);
  SECTION("with a limit the time begins anew") {
    CHECK(one.took_effect(kB, "c", 30s, at(50s)) == Effect::begun);
    CHECK_FALSE(one.expire(at(79s)));
    CHECK(one.expire(at(80s)));
  }
  SECTION("without one the time goes on: it may come from a rotation of the log, which confirms nothing") {
    CHECK(one.took_effect(kB, "c", std::nullopt, at(50s)) == Effect::none);
    CHECK(one.expire(at(60s)));
  }
  SECTION("with a limit, and under way when the time is over") {
    CHECK(one.expire(at(60s)));
    CHECK(one.took_effect(kB, "c", 30s, at(61s)) == Effect::begun);
    CHECK_FALSE(one.expire(at(90s)));
    CHECK(one.expire(at(91s)));
  }
  SECTION("unless it brings that configuration back") {
    CHECK(one.took_effect(kB, "a", 60s, at(50s)) == Effect::moot);
    CHECK_FALSE(one.unconfirmed());
    return;
  }
  CHECK(one.unconfirmed()->before.effective == "a");
}

TEST_CASE("what another program has waited for is waited for") {
  Confirmation one;
  one.resume({kA, 60s, at(60s)});
  CHECK_FALSE(one.expire(at(59s)));
  CHECK(one.expire(at(60s)));
}

}  // namespace
}  // namespace bulkhead::reload
