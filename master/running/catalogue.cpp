#include "master/running/catalogue.h"

#include <algorithm>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/tree_of_config.h"
#include "master/supervision/path.h"

namespace bulkhead::running {

using supervision::child_of;
using supervision::is_at_or_below;

Catalogue::Catalogue(config::Config config, std::string effective)
    : config_(std::make_shared<config::Config>(std::move(config))), effective_(std::move(effective)) {
  enter(config_->root, config_);
}

const config::Node& Catalogue::enter(config::Node& node, const std::shared_ptr<const void>& owner) {
  node.spec.tag = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({&node, owner});
  for (config::Node& child : node.children) enter(child, owner);
  return node;
}

const config::Node* Catalogue::find(const std::string& path) const {
  if (const config::Node* found = config::find_node(std::as_const(config_->root), "root", path)) return found;
  for (const Added& one : added_) {
    if (const config::Node* found = config::find_node(std::as_const(*one.node), one.path(), path)) return found;
  }
  return nullptr;
}

config::Node* Catalogue::find_in_config(const std::string& path) {
  return config::find_node(config_->root, "root", path);
}

supervision::ChildSpec Catalogue::spec_of(const config::Node& node, const std::string& path) const {
  return overrides_.applied_to(config::tree_of_config(node), path);
}

void Catalogue::take_over(std::shared_ptr<config::Config> config, std::string effective, const TagOf& tag_of,
                          const Changed& changed) {
  adopt(config->root, "root", config, tag_of, changed);
  overrides_.take_over(config_->root, config->root);
  config_ = std::move(config);
  effective_ = std::move(effective);
}

void Catalogue::adopt(config::Node& node, const std::string& path, const std::shared_ptr<const void>& owner,
                      const TagOf& tag_of, const Changed& changed) {
  for (config::Node& child : node.children) adopt(child, child_of(path, child.spec.id), owner, tag_of, changed);
  const auto existing = tag_of(path, node.spec.type);
  node.spec.tag = existing.value_or(static_cast<std::uint32_t>(entries_.size()));
  if (!existing) entries_.emplace_back();
  put(node.spec.tag, {&node, owner});
  if (existing) changed(path, node);
}

std::string Catalogue::Added::path() const {
  return child_of(origin.supervisor, node->spec.id);
}

const config::Node& Catalogue::add(config::Node node, AddedChild origin) {
  const auto kept = std::make_shared<config::Node>(std::move(node));
  added_.push_back({kept, std::move(origin)});
  return enter(*kept, kept);
}

void Catalogue::remove_added(const std::string& path) {
  std::erase_if(added_, [this, &path](const Added& one) {
    const bool gone = is_at_or_below(one.path(), path);
    if (gone) forget_all(*one.node);
    return gone;
  });
}

void Catalogue::forget_all(const config::Node& node) {
  forget(node.spec.tag);
  for (const config::Node& child : node.children) forget_all(child);
}

void Catalogue::for_each_top(
    const std::function<void(const std::string& path, const config::Node& node)>& visit) const {
  visit("root", config_->root);
  for (const Added& one : added_) visit(one.path(), *one.node);
}

bool Catalogue::is_added(const std::string& path) const {
  return std::ranges::any_of(added_, [&path](const Added& one) { return one.path() == path; });
}

std::vector<AddedChild> Catalogue::added() const {
  std::vector<AddedChild> out;
  for (const Added& one : added_) out.push_back(one.origin);
  return out;
}

}  // namespace bulkhead::running
