#include "worker/admission/fair_share.h"

#include <catch2/catch.hpp>

using bulkhead::admission::FairShare;

namespace {

constexpr std::uint64_t kLead = FairShare::kLead;

}  // namespace

TEST_CASE(
    "a worker is ahead when it has taken more than one and a half times the average of the others, plus its lead") {
  const struct {
    std::uint64_t mine;
    std::uint64_t others;
    std::uint32_t workers;
    bool ahead;
  } rows[] = {
      {kLead, 0, 1, false},  // the lead itself is allowed
      {kLead + 1, 0, 1, true},       {1500 + kLead, 1000, 1, false},
      {1501 + kLead, 1000, 1, true}, {150 + kLead, 300, 3, false},  // 100 each
      {151 + kLead, 300, 3, true},   {1'000'000, 0, 0, false},      // alone
  };
  for (const auto& row : rows) {
    INFO(row.mine << " against " << row.others << " of " << row.workers);
    CHECK(FairShare().ahead(row.mine, row.others, row.workers) == row.ahead);
  }
}

TEST_CASE("counting restarts regularly, and the smaller sum of a replaced worker does not slow the others") {
  FairShare share;
  share.begin(1000, 10);
  CHECK_FALSE(share.ahead(1000 + kLead, 10, 1));
  CHECK(share.ahead(1001 + kLead, 10, 1));
  CHECK_FALSE(share.ahead(2000, 3, 1));
}

TEST_CASE("stepping aside takes longer and longer, and without effect doubles the lead until counting starts over") {
  FairShare share;
  const auto patience_ends = [&share](std::uint64_t mine) {
    while (share.step_aside() < FairShare::kStepAside << (FairShare::kPatience - 1)) share.in_vain(mine, 0);
    share.in_vain(mine, 0);
  };
  CHECK(share.step_aside() == FairShare::kStepAside);
  share.in_vain(kLead + 1, 0);
  CHECK(share.step_aside() == 2 * FairShare::kStepAside);
  CHECK(share.ahead(kLead + 1, 0, 1));  // still: it steps aside once more
  share.others_came();
  CHECK(share.step_aside() == FairShare::kStepAside);

  patience_ends(0);
  CHECK(share.step_aside() == FairShare::kStepAside);
  CHECK_FALSE(share.ahead(2 * kLead, 0, 1));
  CHECK(share.ahead(2 * kLead + 1, 0, 1));
  share.in_vain(100, 0);  // it does not wait again before the next begin()
  CHECK_FALSE(share.ahead(100 + 4 * kLead, 0, 1));
  CHECK(share.ahead(101 + 4 * kLead, 0, 1));
  share.begin(500, 0);
  CHECK(share.ahead(501 + kLead, 0, 1));
  CHECK(share.step_aside() == FairShare::kStepAside);
}
