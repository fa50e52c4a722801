// RLIMIT_NOFILE (getrlimit(2)) of this process and of the processes that it starts.
//
// The number of descriptors that the master holds grows with its configuration, so it raises its soft limit to the hard
// limit. Its children get the soft limit with which the daemon was started: programs that use select(2) rely on it, and
// others close every possible descriptor. Only a worker that may need more keeps the raised limit, and restores the
// original one for its programs (ipc::Confinement).
#pragma once

#include <cstdint>

namespace bulkhead::host {

// Raises the soft limit at the first start, and remembers the original one.
void raise_descriptor_limit() noexcept;
// For a program that continues in the same process, where the limit is already raised.
void resume_descriptor_limit(std::uint64_t original) noexcept;

// The soft limit at the first start.
[[nodiscard]] std::uint64_t original_descriptor_limit() noexcept;
// The current soft limit of this process.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

// Sets the limit of this process; for a child. Async-signal-safe.
void restore_descriptor_limit() noexcept;

}  // namespace bulkhead::host
