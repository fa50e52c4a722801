// An entry of the configuration by its path in the tree.
#pragma once

#include <string>

#include "master/config/config.h"

namespace bulkhead {

// `at` is the path of `node`, which may be const. Null: neither it nor anything below it is at `path`.
template <class Node>
[[nodiscard]] Node* find_node(Node& node, const std::string& at, const std::string& path) {
  if (at == path) return &node;
  if (!path.starts_with(at + "/")) return nullptr;
  for (Node& child : node.children) {
    if (Node* found = find_node(child, at + "/" + child.spec.id, path)) return found;
  }
  return nullptr;
}

}  // namespace bulkhead
