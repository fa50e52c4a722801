#include "master/running/overrides.h"

#include <utility>
#include <variant>

#include "master/config/find_node.h"
#include "master/config/tree_of_config.h"
#include "master/supervision/path.h"

namespace bulkhead::running {

using supervision::is_at_or_below;

namespace {

// The number of workers that a configuration gives to the listener at `path`; nothing: there is no such listener.
std::optional<std::uint32_t> workers_in(const config::Node& root, const std::string& path) {
  const config::Node* const found = config::find_node(root, "root", path);
  if (found == nullptr || !found->listener) return std::nullopt;
  return found->listener->workers;
}

}  // namespace

void Overrides::stop(const std::string& path) {
  stopped_.insert(path);
  interrupted_.erase(path);
}

void Overrides::erase(const std::string& path) {
  forget(path);
  deleted_.insert(path);
}

void Overrides::scale(const std::string& listener, std::uint32_t workers, std::uint32_t in_file) {
  if (workers == in_file) {
    scaled_.erase(listener);
  } else {
    scaled_[listener] = workers;
  }
}

std::optional<std::uint32_t> Overrides::workers_of(const std::string& listener) const {
  const auto found = scaled_.find(listener);
  return found == scaled_.end() ? std::nullopt : std::optional(found->second);
}

void Overrides::forget(const std::string& path) {
  for (std::set<std::string>* paths : {&stopped_, &deleted_, &interrupted_}) {
    std::erase_if(*paths, [&path](const std::string& one) { return is_at_or_below(one, path); });
  }
  std::erase_if(scaled_, [&path](const auto& one) { return is_at_or_below(one.first, path); });
}

void Overrides::started(const std::string& path) {
  stopped_.erase(path);
  deleted_.erase(path);
  interrupted_.erase(path);
}

void Overrides::told(const supervision::Report& report) {
  namespace report_of = supervision::report;
  if (const auto* child = std::get_if<report_of::ChildStarted>(&report)) return started(child->path);
  if (const auto* supervisor = std::get_if<report_of::SupervisorStarted>(&report)) return started(supervisor->path);
  const auto* const removed = std::get_if<report_of::ChildRemoved>(&report);
  if (removed == nullptr) return;
  std::erase_if(scaled_, [removed](const auto& one) { return is_at_or_below(one.first, removed->path); });
}

void Overrides::take_over(const config::Node& old_root, const config::Node& new_root) {
  std::erase_if(scaled_, [&](const auto& one) {
    const auto in_new = workers_in(new_root, one.first);
    return workers_in(old_root, one.first) != in_new || in_new == one.second;
  });
}

supervision::ChildSpec Overrides::applied_to(supervision::ChildSpec spec, const std::string& path) const {
  if (scaled_.empty()) return spec;
  if (spec.type == supervision::NodeType::listener) {
    if (const auto workers = workers_of(path)) spec.children = config::worker_specs(*workers, spec.restart_delay);
    return spec;
  }
  for (supervision::ChildSpec& child : spec.children) {
    child = applied_to(std::move(child), supervision::child_of(path, child.id));
  }
  return spec;
}

OverridesRecord Overrides::record() const {
  OverridesRecord out{{stopped_.begin(), stopped_.end()},
                      {deleted_.begin(), deleted_.end()},
                      {interrupted_.begin(), interrupted_.end()},
                      {}};
  for (const auto& [path, workers] : scaled_) out.scaled.push_back({path, workers});
  return out;
}

void Overrides::resume(const OverridesRecord& from) {
  stopped_ = {from.stopped.begin(), from.stopped.end()};
  deleted_ = {from.deleted.begin(), from.deleted.end()};
  interrupted_ = {from.interrupted.begin(), from.interrupted.end()};
  scaled_.clear();
  for (const ScaledRecord& one : from.scaled) scaled_[one.path] = one.workers;
}

}  // namespace bulkhead::running
