#include "master/upgrade/identities.h"

#include <algorithm>

#include "master/supervision/path.h"

namespace bulkhead::upgrade {

using supervision::child_of;

void add_identities(const config::Node& node, const std::string& path, std::vector<IdentityHandover>& to) {
  const config::ChildKeys* const keys = config::child_keys_of(node);
  if (keys != nullptr && keys->identity) {
    const config::Identity& one = *keys->identity;
    to.push_back({path, one.name, one.uid, one.gid, one.groups});
  }
  for (const config::Node& child : node.children) add_identities(child, child_of(path, child.spec.id), to);
}

void put_identities(config::Node& node, const std::string& path, const std::vector<IdentityHandover>& from) {
  if (config::ChildKeys* const keys = config::child_keys_of(node)) {
    const auto found = std::ranges::find(from, path, &IdentityHandover::path);
    if (found != from.end()) {
      auto pool = keys->identity ? keys->identity->pool : std::nullopt;
      if (pool) pool->assigned = true;
      keys->identity = config::Identity{found->name, found->uid, found->gid, found->groups, pool};
    }
  }
  for (config::Node& child : node.children) put_identities(child, child_of(path, child.spec.id), from);
}

void add_variables(const config::Node& node, const std::string& path, std::vector<VariablesHandover>& to) {
  const config::ChildKeys* const keys = config::child_keys_of(node);
  if (keys != nullptr && !keys->file_env.empty()) {
    VariablesHandover& out = to.emplace_back(VariablesHandover{path, {}});
    for (const auto& [name, value] : keys->file_env) out.variables.push_back({name, value});
  }
  for (const config::Node& child : node.children) add_variables(child, child_of(path, child.spec.id), to);
}

void put_variables(config::Node& node, const std::string& path, const std::vector<VariablesHandover>& from) {
  if (config::ChildKeys* const keys = config::child_keys_of(node)) {
    keys->file_env.clear();
    const auto found = std::ranges::find(from, path, &VariablesHandover::path);
    if (found != from.end()) {
      for (const auto& [name, value] : found->variables) keys->file_env.emplace_back(name, value);
    }
  }
  for (config::Node& child : node.children) put_variables(child, child_of(path, child.spec.id), from);
}

}  // namespace bulkhead::upgrade
