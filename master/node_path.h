// Paths of nodes: "root/web/echo" is the child "echo" of "root/web".
#pragma once

#include <string>

namespace bulkhead {

// Empty for the root.
[[nodiscard]] inline std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

[[nodiscard]] inline std::string id_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace bulkhead
