#include "master/upgrade/identities.h"

#include <algorithm>

#include "master/supervision/path.h"

namespace bulkhead::upgrade {

using supervision::child_of;

namespace {

template <class AnyNode>
auto identity_of(AnyNode& node) -> decltype(&node.listener->child.identity) {
  if (node.listener) return &node.listener->child.identity;
  return node.process ? &node.process->child.identity : nullptr;
}

}  // namespace

void add_identities(const config::Node& node, const std::string& path, std::vector<IdentityHandover>& to) {
  const auto* identity = identity_of(node);
  if (identity != nullptr && *identity) {
    const config::Identity& one = **identity;
    to.push_back({path, one.name, one.uid, one.gid, one.groups});
  }
  for (const config::Node& child : node.children) add_identities(child, child_of(path, child.spec.id), to);
}

void put_identities(config::Node& node, const std::string& path, const std::vector<IdentityHandover>& from) {
  auto* identity = identity_of(node);
  if (identity != nullptr) {
    const auto found = std::ranges::find(from, path, &IdentityHandover::path);
    if (found != from.end()) *identity = config::Identity{found->name, found->uid, found->gid, found->groups};
  }
  for (config::Node& child : node.children) put_identities(child, child_of(path, child.spec.id), from);
}

}  // namespace bulkhead::upgrade
