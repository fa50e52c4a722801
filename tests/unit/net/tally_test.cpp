// The counts that are shown, whatever a table says.
#include "master/net/tally.h"

#include <catch2/catch.hpp>

namespace bulkhead::net {
namespace {

ipc::Counts counts(std::uint32_t serving, std::uint64_t completed, std::uint64_t crashed = 0) {
  ipc::Counts out;
  out.serving = out.used = serving;
  out.completed = completed;
  out.crashed = crashed;
  return out;
}

TEST_CASE("what the table says is shown") {
  Tally tally;
  const ipc::Counts& shown = tally.update(counts(3, 7, 1), {});
  CHECK(shown.serving == 3);
  CHECK(shown.completed == 7);
  CHECK(shown.crashed == 1);
}

TEST_CASE("ends that no worker has carried out are counted, and their connections are not") {
  Tally tally;
  const ipc::Counts& shown = tally.update(counts(3, 7), {2, 1, 1});
  CHECK(shown.serving == 1);
  CHECK(shown.completed == 8);
  CHECK(shown.crashed == 1);
}

TEST_CASE("what only grows never goes back") {
  Tally tally;
  ipc::Counts table = counts(3, 7, 2);
  table.refused[0] = 5;
  (void)tally.update(table, {});
  const ipc::Counts& shown = tally.update(counts(0, 0), {});
  CHECK(shown.serving == 0);
  CHECK(shown.completed == 7);
  CHECK(shown.crashed == 2);
  CHECK(shown.refused[0] == 5);
}

TEST_CASE("a table that cannot be read, or says less than is open, is no less than nothing") {
  Tally tally;
  (void)tally.update(counts(3, 7), {});
  CHECK(tally.update(std::nullopt, {}).serving == 3);
  CHECK(tally.update(counts(1, 7), {2, 0, 0}).serving == 0);
}

}  // namespace
}  // namespace bulkhead::net
