#include "master/running/catalogue.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/host.h"
#include "master/config/paths.h"
#include "master/config/tree_of_config.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"

namespace bulkhead::running {

using nlohmann::ordered_json;
using supervision::child_of;
using supervision::is_at_or_below;

namespace {

// The entry at `path` of an effective file.
ordered_json entry_in(const std::string& effective, const std::string& path) {
  ordered_json node = ordered_json::parse(effective, nullptr, false).value("supervisor", ordered_json());
  std::string at = "root";
  while (at != path) {
    const ordered_json children = node.value("children", ordered_json::array());
    const auto next = std::ranges::find_if(
        children, [&](const ordered_json& child) { return is_at_or_below(path, child_of(at, child.value("id", ""))); });
    if (next == children.end()) return nullptr;
    at = child_of(at, next->value("id", ""));
    node = *next;
  }
  return node;
}

template <class List>
auto origins_of(const List& list) {
  std::vector<AddedChild> out;
  for (const auto& one : list) out.push_back(one.origin);
  return out;
}

}  // namespace

std::string text_with(std::string_view child, supervision::AutoShutdown of_supervisor,
                      const std::optional<config::UidRange>& uid_pool) {
  std::string out = R"({"daemon":{"uid_pool":")" + (uid_pool ? config::text_of(*uid_pool) : "none");
  out += R"("},"supervisor":{"auto_shutdown":")";
  out += supervision::kAutoShutdownWords.text(of_supervisor);
  out += R"(","children":[)";
  out += child;
  return out + "\n]}}";  // the last line may be a comment
}

// Included files are part of it already.
config::Loaded read_effective(const std::string& effective, const std::string& file) {
  ordered_json json = ordered_json::parse(effective, nullptr, false);
  const bool includes = json.is_object() && json.erase("include") != 0;
  return config::parse(includes ? json.dump(2) : effective, file, config::directory_of(file), config::patient_host());
}

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
  const auto in = [&path](const std::vector<Added>& list) -> const config::Node* {
    for (const Added& one : list) {
      if (const config::Node* found = config::find_node(*one.node, one.path(), path)) return found;
    }
    return nullptr;
  };
  const config::Node* found = in(leaving_);
  if (found == nullptr) found = config::find_node(std::as_const(config_->root), "root", path);
  return found == nullptr ? in(added_) : found;
}

config::Node* Catalogue::find_in_config(const std::string& path) {
  return config::find_node(config_->root, "root", path);
}

bool Catalogue::is_disabled(const std::string& path) const {
  const std::string above = supervision::parent_of(path);
  if (above.empty()) return false;
  const config::Node* const supervisor = config::find_node(std::as_const(config_->root), "root", above);
  if (supervisor == nullptr) return is_disabled(above);
  const auto is_it = [id = supervision::id_of(path)](const config::Node& one) { return one.spec.id == id; };
  return std::ranges::any_of(supervisor->disabled, is_it);
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

void Catalogue::remove_below(std::vector<Added>& list, const std::string& path) {
  std::erase_if(list, [this, &path](const Added& one) {
    const bool gone = is_at_or_below(one.path(), path);
    if (gone) forget_all(*one.node);
    return gone;
  });
}

void Catalogue::remove_added(const std::string& path) {
  remove_below(added_, path);
}

void Catalogue::forget_all(const config::Node& node) {
  forget(node.spec.tag);
  for (const config::Node& child : node.children) forget_all(child);
}

void Catalogue::for_each_top(
    const std::function<void(const std::string& path, const config::Node& node)>& visit) const {
  visit("root", config_->root);
  for (const auto* list : {&added_, &leaving_}) {
    for (const Added& one : *list) visit(one.path(), *one.node);
  }
}

bool Catalogue::is_added(const std::string& path) const {
  return std::ranges::any_of(added_, [&path](const Added& one) { return one.path() == path; });
}

std::vector<AddedChild> Catalogue::added() const {
  return origins_of(added_);
}

void Catalogue::leave(const std::string& path) {
  const config::Node* const node = find_in_config(path);
  const config::Node* const supervisor = find_in_config(supervision::parent_of(path));
  if (node == nullptr || supervisor == nullptr) return;
  stays(path);
  const std::string text =
      text_with(entry_in(effective_, path).dump(), supervisor->spec.flags.auto_shutdown, config_->uid_pool);
  leaving_.push_back({std::shared_ptr<const config::Node>(config_, node),
                      {supervision::parent_of(path), text, config_->file, config::directory_of(config_->file)}});
}

void Catalogue::leave(config::Node node, AddedChild origin) {
  const auto kept = std::make_shared<config::Node>(std::move(node));
  leaving_.push_back({kept, std::move(origin)});
  enter(*kept, kept);
}

void Catalogue::has_left(const std::string& path) {
  remove_below(leaving_, path);
}

void Catalogue::stays(const std::string& path) {
  std::erase_if(leaving_, [&path](const Added& one) { return one.path() == path; });
}

bool Catalogue::is_leaving(const std::string& path) const {
  return std::ranges::any_of(leaving_, [&path](const Added& one) { return is_at_or_below(path, one.path()); });
}

std::vector<AddedChild> Catalogue::leaving() const {
  return origins_of(leaving_);
}

void Catalogue::for_each_leaving(const VisitLeaving& visit) const {
  for (const Added& one : leaving_) {
    const ordered_json file = ordered_json::parse(one.origin.text);
    visit(one.path(), *one.node, file.at("supervisor").at("children").at(0).dump());
  }
}

}  // namespace bulkhead::running
