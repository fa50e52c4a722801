// Who gets the places of daemon.max_connections. The tables are played, by workers that take and free places at any
// moment, also while the ledger is at work.
#include "master/procedure/place_ledger.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>
#include <vector>

namespace bulkhead::procedure {
namespace {

using Leases = std::vector<std::uint32_t>;

PlaceAccount account(std::uint32_t taken, std::uint64_t asked = 0, std::uint32_t most = 1024, bool reserved = false) {
  PlaceAccount out;
  out.most = most;
  out.taken = taken;
  out.asked = asked;
  out.busy = asked != 0;
  out.reserved = reserved;
  return out;
}

Leases fair(const PlaceRules& rules, const std::vector<PlaceAccount>& accounts) {
  return fair_leases(rules, accounts);
}

TEST_CASE("what nobody needs is spread over all, up to their own limits") {
  CHECK(fair({9, 0}, {account(0), account(0), account(0)}) == Leases{3, 3, 3});
  CHECK(fair({100, 0}, {account(2, 0, 5), account(0), account(0, 0, 10)}) == Leases{5, 85, 10});
}

TEST_CASE("half of what is to spare goes to who asks") {
  const Leases leases = fair({100, 0}, {account(10, 1), account(0), account(0)});
  CHECK(leases[0] >= 11 + 45);
  CHECK(leases[0] + leases[1] + leases[2] == 100);
}

TEST_CASE("who does not accept keeps no place that it does not use") {
  CHECK(fair({10, 0}, {account(2, 0, 0), account(0)}) == Leases{2, 8});
}

TEST_CASE("where there is too little, each gets the same, and who has more gives back") {
  CHECK(fair({10, 0}, {account(9, 1), account(0, 2)}) == Leases{5, 5});
  CHECK(fair({10, 0}, {account(9), account(1, 1)}) == Leases{5, 5});
  CHECK(fair({10, 0}, {account(2), account(8), account(0, 1)}) == Leases{2, 4, 4});
}

TEST_CASE("reserved places are for reserved listeners only, and others besides") {
  CHECK(fair({10, 2}, {account(8, 1), account(0, 0, 1024, true)})[0] == 8);
  CHECK(fair({10, 2}, {account(8, 1), account(2, 2, 1024, true)}) == Leases{8, 2});
  CHECK(fair({10, 2}, {account(5), account(2, 1, 1024, true)})[1] >= 3);
}

// Three reserved or not reserved listeners' workers, which act as Table::claim and Table::end do.
struct World {
  struct Listener {
    std::uint32_t most;
    bool reserved;
    std::uint32_t lease = 0;
    std::uint32_t used = 0;  // as the table counts
    std::uint32_t real = 0;  // connections
    bool halfway = false;    // a worker has counted itself, and has not looked at the lease again
    bool asks = false;
  };
  std::vector<Listener> all;
  PlaceRules rules;
  std::mt19937 random;

  std::uint32_t below(std::uint32_t n) { return n == 0 ? 0 : static_cast<std::uint32_t>(random() % n); }
  void step() {
    Listener& one = all[below(static_cast<std::uint32_t>(all.size()))];
    if (one.halfway) {
      one.halfway = false;
      if (one.used > one.lease) {
        --one.used;
      } else {
        ++one.real;
      }
    } else if (below(3) != 0) {
      if (one.used >= one.most) return;
      if (one.used >= one.lease) {
        one.asks = true;
        return;
      }
      ++one.used;
      one.halfway = true;
    } else if (one.real != 0) {
      --one.real;
      --one.used;
    }
  }
  void crash() {  // of a worker that was halfway, or after it: the table is repaired
    Listener& one = all[below(static_cast<std::uint32_t>(all.size()))];
    one.halfway = false;
    one.used = one.real;
  }
  void share(bool in_between) {
    std::vector<PlaceAccount> accounts;
    for (std::size_t i = 0; i < all.size(); ++i) {
      PlaceAccount one = account(0, all[i].asks ? i + 1 : 0, all[i].most, all[i].reserved);
      one.lease = all[i].lease;
      accounts.push_back(one);
    }
    const auto disturb = [&] {
      for (std::uint32_t n = in_between ? below(4) : 0; n != 0; --n) step();
    };
    share_out(rules, accounts,
              {[&](std::size_t i, std::uint32_t lease) {
                 disturb();
                 all[i].lease = lease;
                 disturb();
               },
               [&](std::size_t i) {
                 disturb();
                 return all[i].used;
               }});
  }
  [[nodiscard]] std::uint32_t sum(bool reserved) const {
    std::uint32_t out = 0;
    for (const Listener& one : all) out += one.reserved == reserved ? one.real : 0;
    return out;
  }
};

TEST_CASE("at random: never more than the total, and nobody is refused while a place is free") {
  std::uint32_t at_the_limit = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    World world;
    world.random.seed(seed);
    world.rules.total = 1 + world.below(30);
    const std::uint32_t listeners = 1 + world.below(5);
    bool reserved = false;
    for (std::uint32_t i = 0; i < listeners; ++i) {
      world.all.push_back({1 + world.below(20), world.below(3) == 0});
      reserved = reserved || world.all.back().reserved;
    }
    world.rules.reserved = reserved ? world.below(world.rules.total) : 0;
    for (int n = 0; n < 400; ++n) {
      world.below(40) == 0 ? world.crash() : world.step();
      if (world.below(5) == 0) world.share(true);
      const std::uint32_t others = world.sum(false);
      const std::uint32_t all = others + world.sum(true);
      if (all > world.rules.total || others > world.rules.total - world.rules.reserved) {
        FAIL("seed " << seed << ", step " << n << ": " << all << " of " << world.rules.total);
      }
      if (all == world.rules.total) ++at_the_limit;
    }
    // Quiet: everything half done is done, and one after another asks.
    for (World::Listener& one : world.all) {
      if (std::exchange(one.halfway, false)) one.used > one.lease ? --one.used : ++one.real;
      one.used = one.real;
      one.asks = false;
    }
    for (World::Listener& one : world.all) {
      if (one.used >= one.most) continue;
      one.asks = one.used >= one.lease;
      if (one.asks) world.share(false);
      one.asks = false;
      const std::uint32_t by_reserved = world.sum(true);
      const std::uint32_t kept = one.reserved ? by_reserved : std::max(world.rules.reserved, by_reserved);
      const bool free = kept + world.sum(false) < world.rules.total;
      if (free != (one.used < one.lease)) FAIL("seed " << seed << ": a place is free, and it is not given");
    }
  }
  CHECK(at_the_limit > 1000);
}

TEST_CASE("connections from before a lower limit keep their places, and nobody gets one until they are fewer") {
  World world;
  world.all = {{100, false, 50, 40, 40}, {100, false, 50, 30, 30}};
  world.rules = {50, 0};
  world.all[1].asks = true;
  world.share(false);
  CHECK(world.all[0].lease + world.all[1].lease <= 70);
  CHECK(world.all[1].lease <= 30);
  world.all[0].used = world.all[0].real = 10;
  world.share(false);
  CHECK(world.all[1].lease > 30);
}

TEST_CASE("few messages are needed to fill up") {
  World world;
  world.all = {{10000, false}, {10000, false}, {10000, false}};
  world.rules = {10000, 0};
  int asked = 0;
  for (World::Listener* one = world.all.data(); one->used < 9000; ++one->used) {
    if (one->used < one->lease) continue;
    ++asked;
    one->asks = true;
    world.share(false);
    one->asks = false;
  }
  CHECK(asked < 12);
}

}  // namespace
}  // namespace bulkhead::procedure
