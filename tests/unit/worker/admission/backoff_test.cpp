#include "worker/admission/backoff.h"

#include <catch2/catch.hpp>

using bulkhead::admission::Backoff;

TEST_CASE("a pause doubles from 100 ms to a second and starts over after success") {
  Backoff backoff;
  CHECK_FALSE(backoff.active());
  for (const std::int64_t milliseconds : {100, 200, 400, 800, 1000, 1000})
    CHECK(backoff.next() == milliseconds * 1'000'000);
  CHECK(backoff.active());
  backoff.reset();
  CHECK_FALSE(backoff.active());
  CHECK(backoff.next() == Backoff::kFirst);
}
