// Shares daemon.max_connections out to the listeners, as leases (worker/ipc/lease.h). Pure.
//
// The sum of what listeners have and of what they may take without asking is never above the total, nor that of the
// listeners that are not reserved above what is not kept for the reserved ones:
//
//   all:               Σ max(lease, taken) ≤ total
//   not reserved:      Σ max(lease, taken) ≤ total − max(reserved places, what reserved listeners have)
//
// Connections from before the limit may be more; then no listener gets a place until enough of them have ended. A
// listener that asks gets a place if these rules leave one, whichever listener had it. If they do not leave enough for
// all that ask, each gets the same, and those that have more give back what is freed (max-min fair).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace bulkhead::procedure {

struct PlaceRules {
  std::uint32_t total = 0;
  std::uint32_t reserved = 0;  // below total
};

struct PlaceAccount {
  std::uint32_t most = 0;  // its own max_connections; 0: it does not accept
  bool reserved = false;
  std::uint32_t lease = 0;
  std::uint32_t taken = 0;
  // When it asked for more, in any unit; 0: it does not ask. Who asked earlier comes first.
  std::uint64_t asked = 0;
  bool busy = false;       // it asked not long ago, and so is given more to spare
  bool exhausted = false;  // the result for one that asks: it got none
};

// The leases as they should be.
[[nodiscard]] std::vector<std::uint32_t> fair_leases(const PlaceRules& rules, std::span<const PlaceAccount> accounts);

// How the ledger reaches the tables. An account's `taken` may change at any moment, up to its lease.
struct PlaceTables {
  std::function<void(std::size_t account, std::uint32_t lease)> grant;
  std::function<std::uint32_t(std::size_t account)> taken;  // after grant(): all that was taken before it
};

// Reads what is taken, lowers leases, looks how many places that has really left, and raises others by no more.
void share_out(const PlaceRules& rules, std::span<PlaceAccount> accounts, const PlaceTables& tables);

}  // namespace bulkhead::procedure
