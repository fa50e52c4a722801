#include "master/reload/module_files.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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

// The children of both are in the same order: the effective file is made of the configuration.
void mark(ordered_json& node, const config::Node& of) {
  if (of.listener && config::has_modules(*of.listener)) {
    node["handler"] = {{"is", node["handler"]}, {"files", stamps_of(*of.listener)}};
  }
  const auto children = node.find("children");
  if (children == node.end()) return;
  for (std::size_t i = 0; i < children->size() && i < of.children.size(); ++i) mark((*children)[i], of.children[i]);
}

}  // namespace

ordered_json with_module_files(ordered_json file, const config::Config& config) {
  if (const auto root = file.find("supervisor"); root != file.end()) mark(*root, config.root);
  return file;
}

}  // namespace bulkhead::reload
