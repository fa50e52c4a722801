// The walls around a process that its kernel builds at its own wish, for good, and that its children inherit.
//
// A Landlock domain (landlock(7)): with a scope (ABI 6, Linux 6.12) its processes can neither signal a process outside
// of it, nor trace one, nor connect to an abstract Unix socket that was made outside of it; with files, they reach
// those that are named and no others. Processes outside, such as the worker, still reach in. Workers take one, and each
// connection takes one more, so that neither another listener's workers nor another connection of the same user can be
// harmed.
//
// A filter of system calls (seccomp(2)), which the master has compiled.
//
// Both need no_new_privs. Async-signal-safe, allocates nothing.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

#include "worker/ipc/confinement.h"
#include "worker/ipc/message.h"
#include "worker/sys/fd.h"
#include "worker/sys/raw.h"

namespace bulkhead::confine {

// Paths, each list with a closing null pointer.
struct Files {
  const char* const* read = nullptr;
  const char* const* write = nullptr;
  const char* const* execute = nullptr;
  bool others_readable = false;
  std::uint32_t own = 0;  // a Confinement's spaces: what of them are files is added
};

struct Ports {
  std::span<const std::uint16_t> connect{};
  std::span<const std::uint16_t> bind{};
};

// What a connection or a process may reach. What is not restricted by the Confinement is not looked at.
struct Reach {
  Files files;
  Ports ports;
};

// The rules of a domain, made once; enter_walls() may be called with them any number of times. Empty where the kernel
// has no such thing, and where nothing is wanted. `scoped`: with the scope. `reach`: null for a worker, which reaches
// what it likes. A path that is not there, or that this process cannot reach, is left out. Close-on-exec, and above the
// numbers that a connection's program gets.
[[nodiscard]] sys::Fd prepare_walls(const ipc::Confinement& confinement, bool scoped, const Reach* reach) noexcept;

// This process and all that it will start, for good. -1: does nothing. A raw call only.
[[nodiscard, gnu::always_inline]] inline ipc::Failure enter_walls(int rules) noexcept {
  constexpr long kRestrictSelf = 446;  // landlock_restrict_self(2)
  if (rules < 0) return {};
  const long result = sys::raw(kRestrictSelf, rules, 0);
  return result < 0 ? ipc::Failure{ipc::Stage::sandbox, static_cast<int>(-result)} : ipc::Failure{};
}

// The same with a filter; none of 0 instructions. A raw call only.
[[nodiscard, gnu::always_inline]] inline ipc::Failure enter_filter(const sock_filter* code,
                                                                   std::uint32_t count) noexcept {
  if (count == 0) return {};
  const sock_fprog program{static_cast<unsigned short>(count), const_cast<sock_filter*>(code)};
  const long result = sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, sys::raw_pointer(&program));
  return result < 0 ? ipc::Failure{ipc::Stage::sandbox, static_cast<int>(-result)} : ipc::Failure{};
}

struct Limits;

// Copies the filter to static storage, where all children have it, and notes it in `limits`. At most one a process.
void keep_filter(std::span<const sock_filter> code, Limits& limits) noexcept;

}  // namespace bulkhead::confine
