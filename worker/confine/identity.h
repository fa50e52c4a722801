// Changes to another user for good: supplementary groups, then group, then user, each checked and read back, and a
// check that no way back exists (setresuid(2), setgroups(2), capabilities(7)). Order matters: without the user's
// privilege no group can change. Async-signal-safe, allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/ipc/message.h"

namespace bulkhead::confine {

[[nodiscard]] ipc::Failure take_identity(std::uint32_t uid, std::uint32_t gid, const std::uint32_t* groups,
                                         std::size_t group_count) noexcept;

}  // namespace bulkhead::confine
