// Who workers, connections and processes run as: `user`, `group` and `groups` to numbers.
#pragma once

#include <optional>

#include "master/config/context.h"
#include "master/config/section.h"

namespace bulkhead::config {

// What holds when `user` is absent and the daemon runs as root.
enum class WithoutUser : std::uint8_t {
  nobody,    // a built-in handler: 65534
  refuse,    // a program for clients: whoever wants root must say so
  unchanged  // a process: as the daemon
};

// Reads `user`, `group` and `groups` of `section`. Nothing: it stays what the daemon is, which is all that one without
// root can do.
[[nodiscard]] std::optional<Identity> read_identity(Context& context, const Section& section, WithoutUser without_user);

// The gid of a group given by name or number; nothing when there is none.
[[nodiscard]] std::optional<std::uint32_t> find_group(const Host& host, const std::string& text);

}  // namespace bulkhead::config
