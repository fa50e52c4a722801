// Compiles the part of a sandbox that concerns system calls to a program for seccomp(2). Pure: the same policy gives
// the same program.
//
// Two programs, because a worker and its connections differ in what they bear: `of_worker` is loaded once, when a
// worker begins, and all of its connections inherit it for nothing; `of_child` is what the policy forbids beyond it,
// and is loaded by each connection, and by a process child. Where both apply, the kernel takes the stricter answer.
//
// Of arguments only those are looked at that the kernel reads as 32 bits, by their low half, or as flags by both.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "master/sandbox/policy.h"

namespace bulkhead::sandbox {

using Program = std::vector<sock_filter>;  // empty: nothing is forbidden

struct Programs {
  Program of_worker;
  Program of_child;
};

[[nodiscard]] Programs compile(const Policy& policy);

// All in one, for a process that has no worker.
[[nodiscard]] Program compile_whole(const Policy& policy);

}  // namespace bulkhead::sandbox
