#include "master/procedure/place_ledger.h"

#include <algorithm>
#include <numeric>

namespace bulkhead::procedure {

namespace {

using Count = std::uint64_t;
using Leases = std::vector<std::uint32_t>;
using Indexes = std::vector<std::size_t>;

constexpr Count left(Count from, Count taken) noexcept {
  return from - std::min(from, taken);
}

Count held(const PlaceAccount& account) noexcept {
  return std::max(account.lease, account.taken);
}

bool may_have_more(const PlaceAccount& account) noexcept {
  return account.asked != 0 && account.most > account.taken;
}

struct Sums {
  Count reserved = 0;
  Count others = 0;
  void add(const PlaceAccount& account, Count places) noexcept { (account.reserved ? reserved : others) += places; }
};

// Gives each of `which` up to what it can use (`room`), the same to all as far as that goes; what is left over one by
// one, in their order. Returns what nobody could use.
Count spread(Count sum, Indexes which, const std::vector<Count>& room, Leases& leases) {
  std::ranges::stable_sort(which, {}, [&room](std::size_t i) { return room[i]; });
  for (std::size_t n = 0; n < which.size(); ++n) {
    const Count share = sum / (which.size() - n);
    const Count remainder = sum % (which.size() - n);
    const Count given = std::min(room[which[n]], share + (remainder != 0 ? 1 : 0));
    leases[which[n]] += static_cast<std::uint32_t>(given);
    sum -= given;
  }
  return sum;
}

// Those that this is true of, who asked earlier first.
template <class Which>
Indexes those(std::span<const PlaceAccount> accounts, Which which) {
  Indexes out;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    if (which(accounts[i])) out.push_back(i);
  }
  const auto rank = [&](std::size_t i) { return accounts[i].asked == 0 ? ~std::uint64_t{0} : accounts[i].asked; };
  std::ranges::stable_sort(out, {}, rank);
  return out;
}

// There is enough for all who ask: what is to spare goes to all, half of it to those that are busy.
void spread_spare(const PlaceRules& rules, std::span<const PlaceAccount> accounts, const Sums& base, Leases& leases) {
  std::vector<Count> room(accounts.size());
  const auto measure = [&] {
    for (std::size_t i = 0; i < accounts.size(); ++i) room[i] = left(accounts[i].most, leases[i]);
  };
  measure();
  const Count kept = left(rules.reserved, base.reserved);
  (void)spread(kept, those(accounts, [](const PlaceAccount& one) { return one.reserved; }), room, leases);
  measure();
  const Count spare = left(rules.total, std::max<Count>(rules.reserved, base.reserved) + base.others);
  const Count half = spare - spare / 2;
  const Count unused = spread(half, those(accounts, [](const PlaceAccount& one) { return one.busy; }), room, leases);
  measure();
  (void)spread(spare / 2 + unused, those(accounts, [](const PlaceAccount&) { return true; }), room, leases);
}

// There is not: the same for each, up to what it has or, if it asks, could use.
void spread_fairly(const PlaceRules& rules, std::span<const PlaceAccount> accounts, Leases& leases) {
  std::vector<Count> demand(accounts.size());
  Sums taken;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    demand[i] = may_have_more(accounts[i]) ? accounts[i].most : accounts[i].taken;
    taken.add(accounts[i], accounts[i].taken);
  }
  std::ranges::fill(leases, 0);
  const auto reserved = those(accounts, [](const PlaceAccount& one) { return one.reserved; });
  (void)spread(std::max<Count>(rules.reserved, left(rules.total, taken.others)), reserved, demand, leases);
  Count by_reserved = 0;
  for (const std::size_t i : reserved) by_reserved += std::max(leases[i], accounts[i].taken);
  (void)spread(left(rules.total, std::max<Count>(rules.reserved, by_reserved)),
               those(accounts, [](const PlaceAccount& one) { return !one.reserved; }), demand, leases);
}

}  // namespace

std::vector<std::uint32_t> fair_leases(const PlaceRules& rules, std::span<const PlaceAccount> accounts) {
  Leases leases(accounts.size());
  Sums base;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    leases[i] = accounts[i].taken + (may_have_more(accounts[i]) ? 1 : 0);
    base.add(accounts[i], leases[i]);
  }
  if (std::max<Count>(rules.reserved, base.reserved) + base.others <= rules.total) {
    spread_spare(rules, accounts, base, leases);
  } else {
    spread_fairly(rules, accounts, leases);
  }
  return leases;
}

void share_out(const PlaceRules& rules, std::span<PlaceAccount> accounts, const PlaceTables& tables) {
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    PlaceAccount& account = accounts[i];
    account.taken = tables.taken(i);
    if (account.taken < account.lease) account.asked = 0;  // it has one
  }
  const Leases wanted = fair_leases(rules, accounts);
  Sums all;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    PlaceAccount& account = accounts[i];
    if (wanted[i] < account.lease) {
      tables.grant(i, account.lease = wanted[i]);
      account.taken = tables.taken(i);
    }
    all.add(account, held(account));
  }
  Indexes order = those(accounts, [](const PlaceAccount& one) { return one.reserved; });
  const Indexes others = those(accounts, [](const PlaceAccount& one) { return !one.reserved; });
  order.insert(order.end(), others.begin(), others.end());
  for (const std::size_t i : order) {
    PlaceAccount& account = accounts[i];
    const Count kept = account.reserved ? 0 : left(rules.reserved, all.reserved);
    const Count free = left(rules.total, kept + all.reserved + all.others);
    const Count before = held(account);
    const auto lease = static_cast<std::uint32_t>(std::min<Count>(wanted[i], before + free));
    if (lease > account.lease) tables.grant(i, account.lease = lease);
    all.add(account, held(account) - before);
    account.exhausted = may_have_more(account) && account.lease <= account.taken;
  }
}

}  // namespace bulkhead::procedure
