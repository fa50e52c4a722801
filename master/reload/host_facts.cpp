#include "master/reload/host_facts.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "master/reload/plan.h"

namespace bulkhead::reload {

namespace {

using nlohmann::ordered_json;

std::string stamps_of(const config::Listener& listener) {
  std::string out;
  for (const config::Handler& handler : listener.handlers) {
    if (const auto* module = std::get_if<config::ModuleHandler>(&handler)) out += module->stamp + ";";
  }
  return out;
}

void mark_accounts(ordered_json& node, const config::ChildKeys& keys) {
  if (!keys.identity) return;
  node["user"] = {{"is", node.value("user", ordered_json())},
                  {"uid", keys.identity->uid},
                  {"gid", keys.identity->gid},
                  {"groups", keys.identity->groups}};
}

void mark_variables(ordered_json& node, const config::ChildKeys& keys) {
  if (keys.file_env.empty()) return;
  node["env_file"] = {{"is", node.value("env_file", ordered_json())}, {"variables", keys.file_env}};
}

// The owners of socket files.
void mark_owners(ordered_json& node, const config::SocketOptions& sockets) {
  if (!sockets.owner && !sockets.group) return;
  node["owner"] = {{"is", node.value("owner", ordered_json())},
                   {"uid", sockets.owner.value_or(0)},
                   {"gid", sockets.group.value_or(0)}};
}

// The children of both are in the same order, apart from those that are disabled: the effective file is made of the
// configuration.
void mark(ordered_json& node, const config::Node& of) {
  if (of.listener && config::has_modules(*of.listener)) {
    node["handler"] = {{"is", node["handler"]}, {"files", stamps_of(*of.listener)}};
  }
  if (of.listener) mark_owners(node, of.listener->sockets);
  if (const config::ChildKeys* const keys = config::child_keys_of(of)) {
    mark_accounts(node, *keys);
    mark_variables(node, *keys);
  }
  const auto children = node.find("children");
  if (children == node.end()) return;
  auto child = of.children.begin();
  for (ordered_json& entry : *children) {
    if (is_enabled(entry) && child != of.children.end()) mark(entry, *child++);
  }
}

}  // namespace

ordered_json with_host_facts(ordered_json file, const config::Config& config) {
  if (const auto root = file.find("supervisor"); root != file.end()) mark(*root, config.root);
  return file;
}

ordered_json with_host_facts(ordered_json entry, const config::Node& node) {
  mark(entry, node);
  return entry;
}

}  // namespace bulkhead::reload
