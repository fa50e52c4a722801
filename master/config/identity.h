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

// The text of an account that its row found good, else null.
[[nodiscard]] const std::string* account_text(const Section& section, std::string_view key);

// A uid or gid as a number. The largest one means "leave it" to the kernel and names nobody.
[[nodiscard]] std::optional<std::uint32_t> parse_account_number(const std::string& text);

// The user given by name or number; a name wins, as in chown(1). Nothing when the user database has none.
[[nodiscard]] std::optional<Account> find_user(const Host& host, const std::string& text);

// The gid of a group given by name or number; nothing when there is none.
[[nodiscard]] std::optional<std::uint32_t> find_group(const Host& host, const std::string& text);

}  // namespace bulkhead::config
