// A wall between compartments: a Landlock domain (Landlock, ABI 6, Linux 6.12) whose processes can neither signal a
// process outside of it, nor connect to an abstract Unix socket that was made outside of it, nor trace one. Processes
// outside, such as the worker, still reach in. Workers take one, and each connection takes one more, so that neither
// another listener's workers nor another connection of the same user can be harmed.
#pragma once

#include "worker/ipc/confinement.h"
#include "worker/ipc/message.h"
#include "worker/sys/fd.h"
#include "worker/sys/raw.h"

namespace bulkhead::confine {

// The rules, made once; enter_scope() may be called with them any number of times. Empty where the kernel has no such
// thing, and with the sandbox "none": without no_new_privs the kernel refuses it. Close-on-exec, and above the numbers
// that a connection's program gets.
[[nodiscard]] sys::Fd prepare_scope(const ipc::Confinement& confinement) noexcept;

// This process and all that it will start, for good. -1: does nothing. Needs no_new_privs. A raw call only.
[[nodiscard, gnu::always_inline]] inline ipc::Failure enter_scope(int rules) noexcept {
  constexpr long kRestrictSelf = 446;  // landlock_restrict_self(2)
  if (rules < 0) return {};
  const long result = sys::raw(kRestrictSelf, rules, 0);
  return result < 0 ? ipc::Failure{ipc::Stage::privileges, static_cast<int>(-result)} : ipc::Failure{};
}

}  // namespace bulkhead::confine
