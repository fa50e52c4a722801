// A range of numbers of users, from which listeners get one of their own. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::config {

struct UidRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // belongs to it

  [[nodiscard]] bool contains(std::uint32_t uid) const { return uid >= first && uid <= last; }
  [[nodiscard]] std::uint64_t size() const { return std::uint64_t{last} - first + 1; }
  [[nodiscard]] auto operator<=>(const UidRange&) const = default;
};

// A range that neither the shadow tools nor systemd give out.
inline constexpr UidRange kDefaultUidPool{1'900'000'000, 1'900'065'535};

// "700000-765535". Neither root nor the number that means "leave it as it is" can be in it.
[[nodiscard]] std::optional<UidRange> parse_uid_range(std::string_view text);
[[nodiscard]] std::string text_of(const UidRange& range);

// What gives numbers to others: the text of files. An empty text gives none; an empty map: all numbers are mapped.
struct IdFiles {
  std::string accounts;      // /etc/passwd or /etc/group
  std::string subordinates;  // /etc/subuid or /etc/subgid
  std::string map;           // /proc/self/uid_map or gid_map
};
struct UsersAndGroups {
  IdFiles users;
  IdFiles groups;
};

// Why the numbers of the range cannot be given out, as users and as groups; empty: they can.
[[nodiscard]] std::string why_not_a_pool(const UidRange& range, const UsersAndGroups& files);

}  // namespace bulkhead::config
