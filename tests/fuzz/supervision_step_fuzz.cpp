// Bytes become a tree and its life; the invariants are those of the property test.
#include <cstddef>
#include <cstdint>

#include "tests/unit/supervision/invariants.h"

namespace {

using namespace bulkhead::supervision::testing;

constexpr int kMaxEvents = 500;

class Bytes final : public Choices {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : next_(data), end_(data + size) {}
  std::uint32_t choose(std::uint32_t n) override { return dried_up() ? 0 : *next_++ % n; }
  [[nodiscard]] bool dried_up() const override { return next_ == end_; }

 private:
  const std::uint8_t* next_;
  const std::uint8_t* end_;
};

}  // namespace

// A broken invariant leaves as an exception, which libFuzzer reports as a crash.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes choices(data, size);
  WatchedTree tree(random_tree(choices), size);
  live(tree, choices, kMaxEvents);
  return 0;
}
