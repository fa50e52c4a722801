// RLIMIT_NOFILE (getrlimit(2)) of this process and of those it starts.
//
// What the master holds grows with its configuration, so it raises its soft limit to the hard one. What it starts gets
// the soft limit that the daemon was started with: programs that use select(2) rely on it, and others close every
// descriptor that there could be. Only a worker that may need more keeps the raised one, and gives its programs back
// what they would have had (ipc::Confinement).
#pragma once

#include <cstdint>

namespace bulkhead::host {

// At the first start; remembers what it was.
void raise_descriptor_limit() noexcept;
// In a program that goes on in the same process, whose limit is raised already.
void resume_descriptor_limit(std::uint64_t original) noexcept;

// The soft limit of the first start.
[[nodiscard]] std::uint64_t original_descriptor_limit() noexcept;
// Ours now, soft.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

// Of this process, in a child. Async-signal-safe.
void restore_descriptor_limit() noexcept;

}  // namespace bulkhead::host
