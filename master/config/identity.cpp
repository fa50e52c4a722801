#include "master/config/identity.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "master/config/uid_pool.h"

namespace bulkhead::config {
namespace {

constexpr std::uint32_t kNobody = 65534;

class Reading {
 public:
  Reading(Context& context, const Section& section) : context_(context), section_(section) {}

  void blame(std::string_view key, std::string message) {
    context_.report(section_.place_of(key), section_.pointer_of(key), std::move(message));
  }

  void blame_for_root(std::string_view key, std::string message) {
    context_.report_for_root(section_.place_of(key), section_.pointer_of(key), std::move(message));
  }

  std::optional<std::uint32_t> group() {
    const std::string* text = account_text(section_, "group");
    if (text == nullptr) return std::nullopt;
    auto gid = find_group(context_.host(), *text);
    if (!gid) blame("group", fmt::format("no group {} in the group database", in_quotes(*text)));
    return gid;
  }

  // The value of `groups`, or its default.
  std::vector<std::uint32_t> groups(std::vector<std::uint32_t> otherwise) {
    const Member* member = section_.object.find("groups");
    if (member == nullptr || member->value.kind != Value::Kind::array) return otherwise;
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < member->value.items.size(); ++i) {
      const Value& item = member->value.items[i];
      if (item.kind != Value::Kind::string || item.text.empty()) continue;  // already reported by the check of its row
      if (const auto gid = find_group(context_.host(), item.text)) {
        out.push_back(*gid);
      } else {
        context_.report(item.at, child_pointer(section_.pointer_of("groups"), i),
                        fmt::format("no group {} in the group database", in_quotes(item.text)));
      }
    }
    return out;
  }

  // Without root no process can change its user. Naming the daemon's own user is allowed.
  void check_unprivileged(const std::optional<Account>& account) {
    const Host& host = context_.host();
    if (const std::string* text = account_text(section_, "user")) {
      const auto uid = account ? account->uid : parse_account_number(*text);
      if (!uid) {
        blame("user", fmt::format("no user {} in the user database", in_quotes(*text)));
      } else if (*uid != host.user_id()) {
        blame_for_root("user", fmt::format("only root can run it as {}; the daemon runs as user {}", in_quotes(*text),
                                           host.user_id()));
      }
    }
    if (wants_pool()) {
      blame_for_root("user",
                     fmt::format("only root can run it as another user; the daemon runs as user {}", host.user_id()));
    }
    if (const auto gid = group(); gid && *gid != host.group_id()) {
      blame_for_root("group",
                     fmt::format("only root can change the group; the daemon runs as group {}", host.group_id()));
    }
    if (section_.object.find("groups") != nullptr) blame_for_root("groups", "only root can set supplementary groups");
  }

  std::optional<Identity> as_user(const std::string& text, const std::optional<Account>& account) {
    const auto gid = group();
    if (account) {
      const std::uint32_t primary = gid.value_or(account->gid);
      return Identity{account->name, account->uid, primary, groups(context_.host().groups(*account, primary))};
    }
    const auto uid = parse_account_number(text);
    if (!uid) {
      blame("user", fmt::format("no user {} in the user database", in_quotes(text)));
    } else if (gid) {
      return Identity{text, *uid, *gid, groups({*gid})};
    } else if (account_text(section_, "group") == nullptr) {
      blame("user", fmt::format("user {} is not in the user database, so it needs a \"group\"", text));
    }
    return std::nullopt;
  }

  [[nodiscard]] bool wants_pool() const {
    const Member* const user = section_.object.find("user");
    return user != nullptr && user->value.kind == Value::Kind::object;
  }

  Identity of_pool(const UidRange& range) { return user_of_pool(context_, section_, range, group(), groups({})); }

  std::optional<Identity> without_user(WithoutUser rule) {
    const auto gid = group();
    if (section_.object.find("user") != nullptr) return std::nullopt;  // already reported by the check of its row
    if (rule == WithoutUser::pool || rule == WithoutUser::only_pool) {
      if (auto one = user_of_daemon_pool(context_, section_, gid, groups({}))) return one;
    }
    if (rule == WithoutUser::pool) return Identity{"nobody", kNobody, gid.value_or(kNobody), groups({})};
    if (rule == WithoutUser::only_pool) refuse("a module handler of a daemon started as root and without a uid_pool");
    if (rule == WithoutUser::refuse) refuse("an exec handler of a daemon started as root");
    const bool asked = gid || section_.object.find("groups") != nullptr;
    if (rule == WithoutUser::unchanged && asked) return Identity{"root", 0, gid.value_or(0), groups({gid.value_or(0)})};
    return std::nullopt;
  }

 private:
  void refuse(std::string_view what) {
    context_.report(section_.at, section_.pointer,
                    fmt::format("{} needs an explicit \"user\" (\"user\": \"root\" keeps root)", what));
  }

  Context& context_;
  const Section& section_;
};

}  // namespace

const std::string* account_text(const Section& section, std::string_view key) {
  const Member* member = section.object.find(key);
  const bool good = member != nullptr && member->value.kind == Value::Kind::string && !member->value.text.empty();
  return good ? &member->value.text : nullptr;
}

std::optional<std::uint32_t> parse_account_number(const std::string& text) {
  std::uint32_t id = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), id);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  if (id == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return id;
}

std::optional<Account> find_user(const Host& host, const std::string& text) {
  if (auto account = host.user(text)) return account;
  const auto uid = parse_account_number(text);
  return uid ? host.user(*uid) : std::nullopt;
}

std::optional<std::uint32_t> find_group(const Host& host, const std::string& text) {
  if (auto gid = host.group(text)) return gid;
  return parse_account_number(text);
}

std::optional<Account> account_of(const Context& context, const Section& section) {
  const std::string* text = account_text(section, "user");
  return text == nullptr ? std::nullopt : find_user(context.host(), *text);
}

std::vector<std::pair<std::string, std::string>> login_variables(const Account& account) {
  return {{"HOME", account.home},
          {"LOGNAME", account.name},
          {"SHELL", account.shell.empty() ? "/bin/sh" : account.shell},
          {"USER", account.name}};
}

std::optional<Identity> read_identity(Context& context, const Section& section, const std::optional<Account>& account,
                                      const std::optional<UidRange>& pool, WithoutUser without_user) {
  Reading reading(context, section);
  if (without_user == WithoutUser::unchanged && reading.wants_pool()) {
    reading.blame("user", "a pool is for listeners: expected a name or a number in a string");
    return std::nullopt;
  }
  if (!context.as_root()) {
    reading.check_unprivileged(account);
    return std::nullopt;
  }
  if (const std::string* text = account_text(section, "user")) return reading.as_user(*text, account);
  if (pool) return reading.of_pool(*pool);
  return reading.without_user(without_user);
}

}  // namespace bulkhead::config
