#include "master/config/uid_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

namespace bulkhead::config {
namespace {

constexpr std::uint32_t kUnchanged = std::numeric_limits<std::uint32_t>::max();  // for setresuid(2)

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
  return whole ? std::optional(out) : std::nullopt;
}

// Without empty ones.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end != 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<std::string_view> fields_of(std::string_view line, std::string_view separators) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t end = std::min(line.find_first_of(separators), line.size());
    out.push_back(line.substr(0, end));
    if (end == line.size()) return out;
    line.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out = fields_of(line, " \t");
  std::erase(out, "");
  return out;
}

// passwd(5), group(5): the third field.
std::string account_in(const UidRange& range, const IdFiles& files, std::string_view file, std::string_view what) {
  for (const std::string_view line : lines_of(files.accounts)) {
    const auto fields = fields_of(line, ":");
    const auto id = fields.size() > 2 ? number_in<std::uint32_t>(fields[2]) : std::nullopt;
    if (id && range.contains(*id)) return fmt::format("{} is the {} {} of {}", *id, what, fields[0], file);
  }
  return "";
}

// subuid(5), subgid(5): OWNER:FIRST:COUNT.
std::string subordinate_in(const UidRange& range, const IdFiles& files, std::string_view file) {
  for (const std::string_view line : lines_of(files.subordinates)) {
    const auto fields = fields_of(line, ":");
    if (fields.size() != 3) continue;
    const auto first = number_in<std::uint64_t>(fields[1]);
    const auto count = number_in<std::uint64_t>(fields[2]);
    if (!first || !count || *count == 0) continue;
    if (*first > range.last || *first + (*count - 1) < range.first) continue;
    return fmt::format("it overlaps {} to {} of {} in {}", *first, *first + (*count - 1), fields[0], file);
  }
  return "";
}

// The last number that is mapped without a gap from `id` on; nothing: it is not mapped itself. user_namespaces(7):
// FIRST, that outside, COUNT.
std::optional<std::uint64_t> mapped_until(std::uint64_t id, const std::string& map) {
  for (const std::string_view line : lines_of(map)) {
    const auto words = words_of(line);
    if (words.size() != 3) continue;
    const auto first = number_in<std::uint64_t>(words[0]);
    const auto count = number_in<std::uint64_t>(words[2]);
    if (first && count && id >= *first && id - *first < *count) return *first + (*count - 1);
  }
  return std::nullopt;
}

std::string unmapped_in(const UidRange& range, const IdFiles& files, std::string_view file) {
  if (files.map.empty()) return "";
  for (std::uint64_t id = range.first; id <= range.last;) {
    const auto until = mapped_until(id, files.map);
    if (!until) return fmt::format("{} is not mapped in this user namespace ({})", id, file);
    id = *until + 1;
  }
  return "";
}

}  // namespace

std::optional<UidRange> parse_uid_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = number_in<std::uint32_t>(text.substr(0, dash));
  const auto last = number_in<std::uint32_t>(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *first > *last || *last == kUnchanged) return std::nullopt;
  return UidRange{*first, *last};
}

std::string text_of(const UidRange& range) {
  return fmt::format("{}-{}", range.first, range.last);
}

std::string why_not_a_pool(const UidRange& range, const UsersAndGroups& files) {
  for (const auto& why :
       {account_in(range, files.users, "/etc/passwd", "user"), account_in(range, files.groups, "/etc/group", "group"),
        subordinate_in(range, files.users, "/etc/subuid"), subordinate_in(range, files.groups, "/etc/subgid"),
        unmapped_in(range, files.users, "/proc/self/uid_map"),
        unmapped_in(range, files.groups, "/proc/self/gid_map")}) {
    if (!why.empty()) return why;
  }
  return "";
}

}  // namespace bulkhead::config
