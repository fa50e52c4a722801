// The identity of workers, connections and processes: `user`, `group` and `groups` as numbers.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "master/config/context.h"
#include "master/config/section.h"

namespace bulkhead::config {

// The rule when `user` is absent and the daemon runs as root.
enum class WithoutUser : std::uint8_t {
  pool,       // built-in handlers: one of daemon.uid_pool, and without a pool 65534
  only_pool,  // and modules: one of the pool; without a pool a user must be configured explicitly
  refuse,     // a program for clients: root must be configured explicitly
  unchanged   // a process: the daemon's identity
};

// The account that `user` of `section` names; empty without `user`, and for a number that the user database does not
// have. The database may be remote: it is asked once for each section.
[[nodiscard]] std::optional<Account> account_of(const Context& context, const Section& section);

// Reads `user`, `group` and `groups` of `section`; `account` is that of `user`, and `pool` that of a `user` which is
// one of a pool. Empty: the process keeps the daemon's identity, which is the only possibility without root.
[[nodiscard]] std::optional<Identity> read_identity(Context& context, const Section& section,
                                                    const std::optional<Account>& account,
                                                    const std::optional<UidRange>& pool, WithoutUser without_user);

// HOME, LOGNAME, SHELL and USER of an account.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> login_variables(const Account& account);

// The text of an account that passed the check of its row, else null.
[[nodiscard]] const std::string* account_text(const Section& section, std::string_view key);

// A uid or gid as a number. The largest number is refused: for the kernel it means "leave it as it is".
[[nodiscard]] std::optional<std::uint32_t> parse_account_number(const std::string& text);

// The user with this name or number; a name takes precedence, as in chown(1). Empty if the user database has no such
// user.
[[nodiscard]] std::optional<Account> find_user(const Host& host, const std::string& text);

// The gid of the group with this name or number; empty if no such group exists.
[[nodiscard]] std::optional<std::uint32_t> find_group(const Host& host, const std::string& text);

}  // namespace bulkhead::config
