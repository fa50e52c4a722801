// Carries out a Confinement (worker/ipc/confinement.h), in two halves. Every step is checked; the first that fails ends
// it, with its stage and errno, and the caller must not run anything after that.
//
// Order, each for a reason: what needs /proc, privilege or the old root comes first (oom_score_adj, priorities, hard
// limits); then the root, the directory in it, the capability bounding set, the identity, and with it the end of all
// privilege; no_new_privs last, so that it cannot change what an earlier step meant.
//
// Async-signal-safe, allocates nothing; allowed between clone(CLONE_VM) and exec.
#pragma once

#include <linux/filter.h>

#include "worker/ipc/confinement.h"
#include "worker/ipc/message.h"

namespace bulkhead::confine {

// The half that children inherit. A process of a user other than root keeps no capability, unless its sandbox is "none"
// (capabilities(7)). Hard limits are raised to the wanted value, soft ones stay: see limits_of().
//
// `founds`: for a worker, which makes ready what its children have for themselves (spaces.h), and keeps the
// capabilities for that; children give them up.
[[nodiscard]] ipc::Failure settle(const ipc::Confinement& confinement, const char* root, const char* directory,
                                  bool founds) noexcept;

// The other half, which each process takes on for itself: resource limits, a lower priority, walls of its own. Small,
// without pointers to the heap, because it is copied to the stack of a child that has no heap.
struct Limits {
  std::uint32_t count = 0;
  std::uint32_t has_nice = 0;
  std::int32_t nice = 0;
  std::uint64_t soft_descriptors = 0;   // of programs only
  std::int32_t walls = -1;              // see enter_walls(); no part of any()
  std::uint32_t filter_size = 0;        // see enter_filter()
  const sock_filter* filter = nullptr;  // in static storage
  ipc::ResourceLimit limits[ipc::kMaxLimits];
  [[nodiscard]] bool any() const noexcept { return count != 0 || has_nice != 0 || filter_size != 0; }
};
// The part that remains after settle().
[[nodiscard]] Limits limits_of(const ipc::Confinement& confinement) noexcept;

// Raw calls only (worker/sys/raw.h).
[[nodiscard]] ipc::Failure take_on(const Limits& limits) noexcept;

}  // namespace bulkhead::confine
