#include "worker/admission/prefix_map.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "worker/admission/access_list.h"
#include "worker/admission/pipeline.h"

using namespace bulkhead::admission;

namespace {

constexpr std::uint32_t kNone = 99;

Prefix v4(std::uint32_t network, std::uint32_t length, std::uint32_t value) {
  return {{false, 0, network}, length, value};
}
Prefix v6(std::uint64_t high, std::uint64_t low, std::uint32_t length, std::uint32_t value) {
  return {{true, high, low}, length, value};
}

struct Compiled {
  explicit Compiled(const std::vector<Prefix>& prefixes, std::uint32_t otherwise = kNone)
      : four(compile(prefixes, false, otherwise)), six(compile(prefixes, true, otherwise)), none(otherwise) {}
  [[nodiscard]] Match find(const Address& address) const { return PrefixMap{four, six, none}.find(address); }
  std::vector<Range> four;
  std::vector<Range> six;
  std::uint32_t none;
};

bool holds(const Prefix& prefix, const Address& address) {
  if (prefix.network.v6 != address.v6) return false;
  for (std::uint32_t bit = 0; bit < prefix.length; ++bit) {
    const std::uint32_t at = address.v6 ? bit : bit + 96;
    const auto a = at < 64 ? address.high >> (63 - at) : address.low >> (127 - at);
    const auto b = at < 64 ? prefix.network.high >> (63 - at) : prefix.network.low >> (127 - at);
    if ((a & 1) != (b & 1)) return false;
  }
  return true;
}

// Searches one network after the other, as the rule is worded.
Match slowly(const std::vector<Prefix>& prefixes, const Address& address) {
  Match best{kNone, kNoNetwork};
  for (const Prefix& prefix : prefixes) {
    if (!holds(prefix, address)) continue;
    const bool longer = best.length == kNoNetwork || prefix.length > best.length;
    if (longer || (prefix.length == best.length && prefix.value < best.value)) best = {prefix.value, prefix.length};
  }
  return best;
}

}  // namespace

TEST_CASE("without networks none is found") {
  const Compiled map({});
  CHECK(map.find({false, 0, 1}).value == kNone);
  CHECK(map.find({true, 0, 1}).value == kNone);
  CHECK(map.find({true, 0, 1}).length == kNoNetwork);
}

TEST_CASE("the longest network decides, up to its last address") {
  const Compiled map({v4(0x0a000000, 8, 1), v4(0x0a010000, 16, 2), v4(0x0a010203, 32, 3)});
  CHECK(map.find({false, 0, 0x09ffffff}).value == kNone);
  CHECK(map.find({false, 0, 0x0a000000}).value == 1);
  CHECK(map.find({false, 0, 0x0a010000}).value == 2);
  CHECK(map.find({false, 0, 0x0a010203}).value == 3);
  CHECK(map.find({false, 0, 0x0a010203}).length == 32);
  CHECK(map.find({false, 0, 0x0a010204}).value == 2);
  CHECK(map.find({false, 0, 0x0a01ffff}).value == 2);
  CHECK(map.find({false, 0, 0x0a020000}).value == 1);
  CHECK(map.find({false, 0, 0x0affffff}).value == 1);
  CHECK(map.find({false, 0, 0x0b000000}).value == kNone);
}

TEST_CASE("the families are separate, and the last address of each is found") {
  const Compiled map({v4(0, 0, 4), v6(0, 0, 0, 6)});
  CHECK(map.find({false, 0, 0}).value == 4);
  CHECK(map.find({false, 0, 0xffffffff}).value == 4);
  CHECK(map.find({true, 0, 0}).value == 6);
  CHECK(map.find({true, ~std::uint64_t{0}, ~std::uint64_t{0}}).value == 6);
  const Compiled only4({v4(0xffffffff, 32, 4)});
  CHECK(only4.find({false, 0, 0xffffffff}).value == 4);
  CHECK(only4.find({false, 0, 0xfffffffe}).value == kNone);
  CHECK(only4.find({true, 0, 0xffffffff}).value == kNone);
}

TEST_CASE("an IPv6 network may end in the middle of either half") {
  const Compiled map({v6(0x20010db800000000, 0, 32, 1), v6(0x20010db800000000, 0, 64, 2),
                      v6(0x20010db800000000, 0x8000000000000000, 65, 3)});
  CHECK(map.find({true, 0x20010db800000000, 1}).value == 2);
  CHECK(map.find({true, 0x20010db800000000, 0xffffffffffffffff}).value == 3);
  CHECK(map.find({true, 0x20010db800000001, 0}).value == 1);
  CHECK(map.find({true, 0x20010db900000000, 0}).value == kNone);
}

TEST_CASE("any set of networks gives the answers of a linear search, and stays small", "[property]") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<Prefix> prefixes;
    for (std::size_t i = random() % 40; i > 0; --i) {
      const bool six = random() % 2 == 0;
      const auto length = static_cast<std::uint32_t>(random() % (six ? 129 : 33));
      // Few distinct bits, so that networks nest.
      Address address = six ? Address{true, random() & 0xf00f00000000000f, random() & 0xf0000000000000ff}
                            : Address{false, 0, random() & 0xc00000ff};
      for (std::uint32_t bit = six ? length : length + 96; bit < 128; ++bit) {
        (bit < 64 ? address.high : address.low) &= ~(std::uint64_t{1} << (63 - bit % 64));
      }
      prefixes.push_back({address, length, static_cast<std::uint32_t>(random() % 5)});
    }
    const Compiled map(prefixes);
    CHECK(map.four.size() + map.six.size() <= 2 * prefixes.size() + 2);
    for (int ask = 0; ask < 200; ++ask) {
      const bool six = random() % 2 == 0;
      const Address address = six ? Address{true, random() & 0xf00f00000000000f, random() & 0xf0000000000000ff}
                                  : Address{false, 0, random() & 0xc00000ff};
      const Match expected = slowly(prefixes, address);
      const Match found = map.find(address);
      REQUIRE(found.value == expected.value);
      REQUIRE(found.length == expected.length);
    }
  }
}

TEST_CASE("allow and deny follow the table of their meanings") {
  const Prefix net = v4(0x0a000000, 8, 0);
  const Prefix part = v4(0x0a010000, 16, 0);
  struct Row {
    const char* name;
    std::optional<std::vector<Prefix>> allow;
    std::vector<Prefix> deny;
    bool outside, in_net, in_part;
  };
  const Row rows[] = {{"neither", std::nullopt, {}, true, true, true},
                      {"an empty allow is nobody", std::vector<Prefix>{}, {}, false, false, false},
                      {"deny alone lets all others in", std::nullopt, {net}, true, false, false},
                      {"allow alone keeps all others out", std::vector<Prefix>{net}, {}, false, true, true},
                      {"the longer one decides: deny", std::vector<Prefix>{net}, {part}, false, true, false},
                      {"the longer one decides: allow", std::vector<Prefix>{part}, {net}, false, false, true},
                      {"deny wins a tie", std::vector<Prefix>{net}, {net}, false, false, false}};
  for (const Row& row : rows) {
    INFO(row.name);
    const AccessPrefixes both = access_prefixes(row.allow, row.deny);
    const auto otherwise = static_cast<std::uint32_t>(both.otherwise);
    const auto ranges = compile(both.prefixes, false, otherwise);
    const PrefixMap map{ranges, {}, otherwise};
    CHECK(judge_access(map, {false, 0, 0x0b000000}).allowed == row.outside);
    CHECK(judge_access(map, {false, 0, 0x0a020000}).allowed == row.in_net);
    CHECK(judge_access(map, {false, 0, 0x0a010001}).allowed == row.in_part);
    CHECK(judge_access(map, {true, 0, 0x0a010001}).allowed == (otherwise != 0));
  }
}

TEST_CASE("the lists are checked first, then the rule with the longest network") {
  const auto access = compile(std::vector<Prefix>{v4(0x7f000001, 32, 0)}, false, 1);
  const std::vector<Prefix> from{v4(0x0a000000, 8, rule_value(0, false)), v4(0x0a010000, 16, rule_value(1, true))};
  const auto rules = compile(from, false, kNoRuleValue);
  const Pipeline pipeline({access, {}, 1}, {rules, {}, kNoRuleValue});
  CHECK_FALSE(pipeline.transport({false, 0, 0x7f000001}).allowed);
  CHECK_FALSE(pipeline.client({false, 0, 0x7f000001}).allowed);
  CHECK(pipeline.client({false, 0, 0x7f000001}).rule == kNoRule);
  CHECK(pipeline.client({false, 0, 0x0b000000}).rule == kNoRule);
  CHECK(pipeline.client({false, 0, 0x0a000001}).allowed);
  CHECK(pipeline.client({false, 0, 0x0a000001}).rule == 0);
  CHECK_FALSE(pipeline.client({false, 0, 0x0a010001}).allowed);
  CHECK(pipeline.client({false, 0, 0x0a010001}).rule == 1);
  CHECK(pipeline.client({false, 0, 0x0a010001}).length == 16);
  CHECK(Pipeline().client({true, 5, 5}).allowed);
}
