// Random lives of random trees. Each has its own seed, which is printed when an invariant breaks:
//   BULKHEAD_SEED=SEED BULKHEAD_SEQUENCES=1 supervision_property_test
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "tests/unit/supervision/invariants.h"

namespace bulkhead::supervision::testing {

namespace {

constexpr std::uint64_t kSequences = 100'000;
constexpr int kEvents = 20;

class Generator final : public Choices {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}
  std::uint32_t choose(std::uint32_t n) override { return static_cast<std::uint32_t>(random_() % n); }

 private:
  std::minstd_rand random_;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

}  // namespace

TEST_CASE("random events never break an invariant of the tree") {
  const std::uint64_t first = from_environment("BULKHEAD_SEED", std::random_device{}());
  const std::uint64_t sequences = from_environment("BULKHEAD_SEQUENCES", kSequences);
  std::cout << "seed " << first << ", " << sequences << " sequences\n";
  for (std::uint64_t seed = first; seed < first + sequences; ++seed) {
    Generator choices(seed);
    try {
      WatchedTree tree(random_tree(choices), seed);
      live(tree, choices, kEvents);
    } catch (const InvariantViolated& violated) {
      FAIL("seed " << seed << ": " << violated.what());
    }
  }
}

}  // namespace bulkhead::supervision::testing
