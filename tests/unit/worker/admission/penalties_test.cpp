#include "worker/admission/penalties.h"

#include <catch2/catch.hpp>
#include <string>

#include "worker/admission/source_rules.h"

using namespace bulkhead::admission;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 1'000 * kSecond;

PenaltyRules rules() {
  PenaltyRules out;
  out.mode = PenaltyMode::enforce;
  out.crash_ns = 90 * kSecond;
  out.timeout_ns = 10 * kSecond;
  out.no_input_ns = 1 * kSecond;
  out.min_ns = 15 * kSecond;
  out.max_ns = 600 * kSecond;
  out.exit_ns[77] = 5 * kSecond;
  return out;
}

Ending exited(std::uint8_t status) {
  return {Ending::How::exited, status};
}

const Ending kKilled{Ending::How::killed};

}  // namespace

TEST_CASE("the penalty for an end depends on how the connection ended") {
  Ending timed_out = exited(77);
  timed_out.timed_out = true;
  Ending silent = exited(0);
  silent.no_input = true;
  Ending asked = kKilled;
  asked.asked = true;
  Ending late = timed_out;
  late.asked = true;
  const struct {
    Ending ending;
    Offence offence;
    std::int64_t seconds;
  } kCases[] = {{exited(0), Offence::none, 0}, {exited(77), Offence::exit, 5}, {exited(78), Offence::none, 0},
                {kKilled, Offence::crash, 90}, {silent, Offence::no_input, 1}, {timed_out, Offence::timeout, 10},
                {asked, Offence::none, 0},     {late, Offence::timeout, 10},   {{}, Offence::none, 0}};
  for (const auto& one : kCases) {
    const Charge charge = charge_for(one.ending, rules());
    CHECK(charge.offence == one.offence);
    CHECK(charge.duration_ns == one.seconds * kSecond);
  }
}

TEST_CASE("nothing is charged if penalties are off, or if the duration of the offence is zero") {
  PenaltyRules off = rules();
  off.mode = PenaltyMode::off;
  CHECK(charge_for(kKilled, off).offence == Offence::none);
  PenaltyRules mild = rules();
  mild.crash_ns = 0;
  CHECK(charge_for(kKilled, mild).offence == Offence::none);
}

TEST_CASE("a penalty longer than min is enforced at once, until it has passed") {
  const Penalty penalty = add({}, {Offence::crash, 90 * kSecond}, rules(), kNow);
  CHECK(penalty.refuses(kNow));
  CHECK(penalty.refuses(kNow + 90 * kSecond - 1));
  CHECK_FALSE(penalty.refuses(kNow + 90 * kSecond + 16));
  CHECK(penalty.offence() == Offence::crash);
}

TEST_CASE("small penalties accumulate until more than min is due; just min is not more") {
  Penalty penalty;
  for (int i = 0; i < 3; ++i) {
    penalty = add(penalty, {Offence::exit, 5 * kSecond}, rules(), kNow);
    CHECK_FALSE(penalty.refuses(kNow));
  }
  CHECK(penalty.until_ns() >= kNow + 15 * kSecond);
  penalty = add(penalty, {Offence::no_input, kSecond}, rules(), kNow);
  CHECK(penalty.refuses(kNow));
  CHECK(penalty.offence() == Offence::no_input);
}

TEST_CASE("penalties decay with time: the part that has passed no longer counts") {
  Penalty penalty;
  for (int i = 0; i < 100; ++i) {
    penalty = add(penalty, {Offence::exit, 5 * kSecond}, rules(), kNow + i * 5 * kSecond);
    CHECK_FALSE(penalty.refuses(kNow + i * 5 * kSecond));
  }
}

TEST_CASE("once enforced a penalty stays so until all of it has passed, below min too") {
  const Penalty penalty = add({}, {Offence::crash, 90 * kSecond}, rules(), kNow);
  CHECK(penalty.refuses(kNow + 80 * kSecond));
  const Penalty more = add(penalty, {Offence::no_input, kSecond}, rules(), kNow + 89 * kSecond);
  CHECK(more.refuses(kNow + 90 * kSecond));
  const Penalty afresh = add(penalty, {Offence::no_input, kSecond}, rules(), kNow + 91 * kSecond);
  CHECK_FALSE(afresh.refuses(kNow + 91 * kSecond));
}

TEST_CASE("a penalty is never longer than max") {
  Penalty penalty;
  for (int i = 0; i < 50; ++i) penalty = add(penalty, {Offence::crash, 90 * kSecond}, rules(), kNow);
  CHECK(penalty.until_ns() - kNow <= 600 * kSecond + 16);
  CHECK(penalty.refuses(kNow + 600 * kSecond - 1));
  CHECK_FALSE(add({}, {Offence::crash, 9'000 * kSecond}, rules(), kNow).refuses(kNow + 600 * kSecond + 16));
}

TEST_CASE("a penalty fits into one word and is read back from it") {
  const Penalty penalty = add({}, {Offence::timeout, 90 * kSecond}, rules(), kNow);
  const Penalty again(penalty.word());
  CHECK(again.until_ns() == penalty.until_ns());
  CHECK(again.offence() == Offence::timeout);
  CHECK(again.active());
  CHECK_FALSE(Penalty().any());
  CHECK_FALSE(Penalty().refuses(0));
}

TEST_CASE("every offence has its word in the configuration") {
  CHECK(kOffenceWords.text(Offence::no_input) == "no_input");
  CHECK(kOffenceWords.text(Offence::exit) == "exit");
}

TEST_CASE("the first step that refuses decides: penalty, connections, rate") {
  SourceRules limits;
  limits.penalties = rules();
  limits.max_connections = 2;
  limits.rate = {1, kSecond};
  SourceState state;
  CHECK(decide(state, limits, 2, false, kNow).verdict == SourceVerdict::admitted);
  state.rate_full_at_ns = kNow + kSecond;
  CHECK(decide(state, limits, 2, false, kNow).verdict == SourceVerdict::rate_per_source);
  state.connections = 2;
  CHECK(decide(state, limits, 2, false, kNow).verdict == SourceVerdict::per_source);
  CHECK(decide(state, limits, 3, false, kNow).verdict == SourceVerdict::rate_per_source);
  state.penalty = Penalty(kNow + kSecond, true, Offence::crash);
  CHECK(decide(state, limits, 2, false, kNow).verdict == SourceVerdict::penalty);
  CHECK(decide(state, limits, 2, true, kNow).verdict == SourceVerdict::per_source);
}

TEST_CASE("mode log admits and reports what enforce would have done; off does not look at penalties") {
  SourceRules limits;
  limits.penalties = rules();
  SourceState state;
  state.penalty = Penalty(kNow + kSecond, true, Offence::crash);
  limits.penalties.mode = PenaltyMode::log;
  CHECK(decide(state, limits, kUnlimited, false, kNow).verdict == SourceVerdict::admitted);
  CHECK(decide(state, limits, kUnlimited, false, kNow).would_refuse);
  CHECK_FALSE(decide(state, limits, kUnlimited, true, kNow).would_refuse);
  limits.penalties.mode = PenaltyMode::off;
  CHECK_FALSE(decide(state, limits, kUnlimited, false, kNow).would_refuse);
}

TEST_CASE("deny_all refuses all but exempt clients while the largest number of sources is penalised") {
  SourceRules limits;
  limits.penalties = rules();
  SourceState state;
  state.overflow = true;
  CHECK(decide(state, limits, kUnlimited, false, kNow).verdict == SourceVerdict::admitted);
  limits.penalties.overflow = Overflow::deny_all;
  CHECK(decide(state, limits, kUnlimited, false, kNow).verdict == SourceVerdict::penalty);
  CHECK(decide(state, limits, kUnlimited, true, kNow).verdict == SourceVerdict::admitted);
}
