#include "worker/admission/rate.h"

#include <catch2/catch.hpp>

using namespace bulkhead::admission;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 77 * kSecond;

int burst(const Rate& rate, std::int64_t& bucket, std::int64_t now) {
  int taken = 0;
  while (taken < 2'000'000 && take(rate, bucket, now)) ++taken;
  return taken;
}

}  // namespace

TEST_CASE("a burst is as large as the count, for any period", "[property]") {
  for (const std::uint32_t count : {1U, 2U, 3U, 7U, 10U, 999U, 1'000'000U}) {
    for (const std::int64_t per : {1'000'000LL, 1'000'000'000LL, 3'600'000'000'000LL, 31'536'000'000'000'000LL}) {
      std::int64_t bucket = 0;
      CHECK(burst({count, per}, bucket, kNow) == static_cast<int>(count));
    }
  }
}

TEST_CASE("after the burst one more is admitted for each part of the period, and not a nanosecond earlier") {
  const Rate rate{4, kSecond};
  std::int64_t bucket = 0;
  CHECK(burst(rate, bucket, kNow) == 4);
  CHECK(wait_ns(rate, bucket, kNow) == kSecond / 4);
  CHECK_FALSE(take(rate, bucket, kNow + kSecond / 4 - 1));
  CHECK(take(rate, bucket, kNow + kSecond / 4));
  CHECK_FALSE(take(rate, bucket, kNow + kSecond / 4));
  CHECK(burst(rate, bucket, kNow + kSecond) == 3);
}

TEST_CASE("a bucket does not hold more than the count, however long it was idle") {
  const Rate rate{3, kSecond};
  std::int64_t bucket = 0;
  CHECK(take(rate, bucket, kNow));
  CHECK(burst(rate, bucket, kNow + 3600 * kSecond) == 3);
}

TEST_CASE("a refusal costs nothing") {
  const Rate rate{1, kSecond};
  std::int64_t bucket = 0;
  CHECK(take(rate, bucket, kNow));
  const std::int64_t before = bucket;
  CHECK_FALSE(take(rate, bucket, kNow + 1));
  CHECK(bucket == before);
}

TEST_CASE("without a limit every connection is admitted and nothing is written") {
  std::int64_t bucket = 0;
  CHECK(take({}, bucket, kNow));
  CHECK(wait_ns({}, bucket, kNow) == 0);
  CHECK(bucket == 0);
}

TEST_CASE("a bucket of another rate, or with a time in the future, is at worst empty") {
  const Rate rate{2, kSecond};
  std::int64_t bucket = kNow + 3600 * kSecond;
  CHECK(wait_ns(rate, bucket, kNow) == kSecond / 2);
  CHECK_FALSE(take(rate, bucket, kNow));
}
