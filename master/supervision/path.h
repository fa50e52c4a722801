// Paths of nodes: "root/web/echo" is the child "echo" of "root/web".
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::supervision {

// Empty for the root.
[[nodiscard]] inline std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

[[nodiscard]] inline std::string id_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

[[nodiscard]] inline std::string child_of(const std::string& path, const std::string& id) {
  return path + "/" + id;
}

[[nodiscard]] inline bool is_at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

// True if one of them is at or below the other.
[[nodiscard]] inline bool touch(std::string_view one, std::string_view other) {
  return is_at_or_below(one, other) || is_at_or_below(other, one);
}

}  // namespace bulkhead::supervision
