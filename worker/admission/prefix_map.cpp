#include "worker/admission/prefix_map.h"

#include <algorithm>
#include <compare>
#include <iterator>
#include <tuple>
#include <utility>

namespace bulkhead::admission {

namespace {

struct Key {
  std::uint64_t high;
  std::uint64_t low;
  auto operator<=>(const Key&) const = default;
};

Key key_of(const Address& address) noexcept {
  return {address.high, address.low};
}

// The bits of a 64-bit word that belong to a network of `length` bits that begins with it.
std::uint64_t mask(std::uint32_t length) noexcept {
  if (length == 0) return 0;
  return length >= 64 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - length);
}

Key last_of(const Prefix& prefix) noexcept {
  if (!prefix.network.v6) return {0, prefix.network.low | (~mask(32 + prefix.length) & 0xffffffff)};
  const std::uint32_t in_low = prefix.length > 64 ? prefix.length - 64 : 0;
  return {prefix.network.high | ~mask(prefix.length), prefix.network.low | ~mask(in_low)};
}

// Moves to the next address. False: none follows.
bool next(Key& key, bool v6) noexcept {
  if (!v6) return ++key.low <= 0xffffffff;
  if (++key.low != 0) return true;
  return ++key.high != 0;
}

// Networks nest or are apart, so those that hold the present address form a stack, the longest on top.
class Sweep {
 public:
  Sweep(bool v6, std::uint32_t otherwise) : v6_(v6), otherwise_{{}, kNoNetwork, otherwise} { emit({0, 0}, otherwise_); }
  void enter(const Prefix& prefix) {
    leave_before(key_of(prefix.network));
    open_.push_back(prefix);
    emit(key_of(prefix.network), prefix);
  }
  std::vector<Range> finish() {
    while (!open_.empty()) leave();
    return std::move(ranges_);
  }

 private:
  void leave_before(const Key& key) {
    while (!open_.empty() && last_of(open_.back()) < key) leave();
  }
  void leave() {
    Key after = last_of(open_.back());
    open_.pop_back();
    if (next(after, v6_)) emit(after, open_.empty() ? otherwise_ : open_.back());
  }
  void emit(const Key& from, const Prefix& prefix) {
    if (!ranges_.empty() && Key{ranges_.back().high, ranges_.back().low} == from) ranges_.pop_back();
    ranges_.push_back({from.high, from.low, prefix.value, prefix.length});
  }

  bool v6_;
  Prefix otherwise_;
  std::vector<Prefix> open_;
  std::vector<Range> ranges_;
};

}  // namespace

Match PrefixMap::find(const Address& address) const noexcept {
  const std::span<const Range> ranges = address.v6 ? v6 : v4;
  const Key key = key_of(address);
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), key, [](const Key& wanted, const Range& range) {
    return wanted < Key{range.high, range.low};
  });
  if (after == ranges.begin()) return {otherwise, kNoNetwork};
  const Range& range = *(after - 1);
  return {range.value, range.length};
}

std::vector<Range> compile(std::span<const Prefix> prefixes, bool v6, std::uint32_t otherwise) {
  std::vector<Prefix> sorted;
  std::copy_if(prefixes.begin(), prefixes.end(), std::back_inserter(sorted),
               [v6](const Prefix& prefix) { return prefix.network.v6 == v6; });
  if (sorted.empty()) return {};
  const auto order = [](const Prefix& prefix) {
    return std::tuple(key_of(prefix.network), prefix.length, prefix.value);
  };
  std::sort(sorted.begin(), sorted.end(), [&](const Prefix& a, const Prefix& b) { return order(a) < order(b); });
  const auto same = [](const Prefix& a, const Prefix& b) {
    return key_of(a.network) == key_of(b.network) && a.length == b.length;
  };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
  Sweep sweep(v6, otherwise);
  for (const Prefix& prefix : sorted) sweep.enter(prefix);
  return sweep.finish();
}

}  // namespace bulkhead::admission
