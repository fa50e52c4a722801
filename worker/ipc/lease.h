// A listener's part of daemon.max_connections: the places that the master has granted it. One word of the connection
// table, which only the master writes. A worker takes a place first and then reads the word (again); the master writes
// the word first and then reads how many places are taken. Each does so in one order that both see (seq_cst), so
// either the worker sees a lease that was lowered, or the master sees the place that was taken (Dekker).
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

struct Lease {
  bool holds = false;        // daemon.max_connections is set
  bool exhausted = false;    // the listener has asked for more, and there was none
  std::uint32_t places = 0;  // if it holds

  friend bool operator==(const Lease&, const Lease&) = default;
};

[[nodiscard]] constexpr std::uint64_t word_of(const Lease& lease) noexcept {
  return (lease.holds ? std::uint64_t{1} << 32 : 0) | (lease.exhausted ? std::uint64_t{1} << 33 : 0) | lease.places;
}
// Any number is some lease.
[[nodiscard]] constexpr Lease lease_in(std::uint64_t word) noexcept {
  return {(word >> 32 & 1) != 0, (word >> 33 & 1) != 0, static_cast<std::uint32_t>(word)};
}

// The words of the master that follow those of the slots.
inline constexpr std::uint32_t kLeaseWord = 0;
inline constexpr std::uint32_t kTotalWord = 1;  // daemon.max_connections itself, to be named
inline constexpr std::uint32_t kExtraWords = 2;

}  // namespace bulkhead::ipc
