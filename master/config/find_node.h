// An entry of the configuration by its path in the tree.
#pragma once

#include <string>

#include "master/config/config.h"
#include "master/supervision/path.h"

namespace bulkhead::config {

// `at` is the path of `node`, which may be const. Null: neither it nor anything below it is at `path`.
template <class AnyNode>
[[nodiscard]] AnyNode* find_node(AnyNode& node, const std::string& at, const std::string& path) {
  if (at == path) return &node;
  if (!supervision::is_at_or_below(path, at)) return nullptr;
  const std::string id = path.substr(at.size() + 1, path.find('/', at.size() + 1) - at.size() - 1);
  for (AnyNode& child : node.children) {
    if (child.spec.id == id) return find_node(child, supervision::child_of(at, id), path);
  }
  return nullptr;
}

}  // namespace bulkhead::config
