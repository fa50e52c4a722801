#include "master/reload/plan.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "master/supervision/path.h"

namespace bulkhead::reload {

namespace {

using nlohmann::ordered_json;

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

const ordered_json& member(const ordered_json& object, std::string_view key) {
  static const ordered_json kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

// The keys whose values differ between the two, except `children`.
std::vector<std::string> different_keys(const ordered_json& one, const ordered_json& other) {
  std::vector<std::string> out;
  for (const auto& [key, value] : other.items()) {
    if (key != "children" && member(one, key) != value) out.push_back(key);
  }
  for (const auto& [key, value] : one.items()) {
    if (key != "children" && !other.contains(key)) out.push_back(key);
  }
  return out;
}

// A worker has room for the number of connections that was possible when it started.
bool grows(const ordered_json& before, const ordered_json& after) {
  const ordered_json& old_limit = member(before, "max_connections");
  const ordered_json& new_limit = member(after, "max_connections");
  return old_limit.is_number() && new_limit.is_number() && new_limit > old_limit;
}

Change::Kind kind_of(const std::string& type, const std::vector<std::string>& keys) {
  const auto all = [&keys](const auto& words) {
    return std::all_of(keys.begin(), keys.end(), [&words](const std::string& key) { return is_one_of(words, key); });
  };
  if (type == "listener" && !all(kListenerInPlace)) return Change::Kind::new_workers;
  if (type == "process" && !all(kProcessInPlace)) return Change::Kind::restarted;
  return Change::Kind::in_place;
}

const ordered_json* entry_of(const ordered_json& supervisor, const ordered_json& id) {
  for (const ordered_json& child : member(supervisor, "children")) {
    if (member(child, "id") == id) return &child;
  }
  return nullptr;
}

// The entry at a path; null: none.
template <class Json>
Json* entry_at(Json& root, const std::string& path) {
  if (path == "root") return &root;
  Json* const supervisor = entry_at(root, supervision::parent_of(path));
  return supervisor == nullptr ? nullptr : const_cast<Json*>(entry_of(*supervisor, supervision::id_of(path)));
}

// Has the file before say what is there: the entry, if the new one has it again, or nothing. False: nothing.
bool put_back(ordered_json& old_root, const ordered_json& new_file, Leaving leaving) {
  const ordered_json* const wanted = entry_at(member(new_file, "supervisor"), leaving.path);
  ordered_json* const supervisor = entry_at(old_root, supervision::parent_of(leaving.path));
  if (supervisor == nullptr) return false;
  ordered_json& children = (*supervisor)["children"];
  const ordered_json id = supervision::id_of(leaving.path);
  const auto found = std::ranges::find_if(children, [&id](const ordered_json& one) { return member(one, "id") == id; });
  const bool back =
      leaving.can_be_taken_back && wanted != nullptr && member(*wanted, "type") == member(leaving.entry, "type");
  if (found != children.end() && back) {
    *found = std::move(leaving.entry);
  } else if (found != children.end()) {
    children.erase(found);
  } else if (back) {
    children.push_back(std::move(leaving.entry));
  }
  return back;
}

// The ids of `children` that both have.
std::vector<std::string> common_ids(const ordered_json& children, const ordered_json& other) {
  std::vector<std::string> out;
  for (const ordered_json& child : member(children, "children")) {
    if (entry_of(other, member(child, "id")) != nullptr) out.push_back(child.value("id", ""));
  }
  return out;
}

// How a node is taken back; nothing: it is not.
std::optional<Change::Kind> taken_back(const std::string& type, const std::string& path,
                                       const std::vector<std::string>& tops) {
  if (std::ranges::find(tops, path) != tops.end()) return Change::Kind::taken_back;
  const bool below =
      std::ranges::any_of(tops, [&path](const std::string& top) { return supervision::is_at_or_below(path, top); });
  return below && type == "listener" ? std::optional(Change::Kind::new_workers) : std::nullopt;
}

Change::Kind kind_of(const ordered_json& old_node, const ordered_json& new_node, const std::vector<std::string>& keys,
                     Presence presence) {
  const bool is_manual = member(new_node, "start") == "manual";
  if (presence == Presence::interrupted || (presence == Presence::dormant && !is_manual)) return Change::Kind::started;
  if (presence != Presence::up) return Change::Kind::in_place;
  return grows(old_node, new_node) ? Change::Kind::new_workers : kind_of(new_node.value("type", "supervisor"), keys);
}

// An entry that the tree has not, although its supervisor runs. A temporary child that has ended is complete, until the
// file has another one.
bool comes_back(const ordered_json& before, const ordered_json& after, const std::string& path,
                const Present& present) {
  return before != after || before.value("restart", "") != "temporary" || present.is_deleted(path);
}

void compare(const ordered_json& old_node, const ordered_json& new_node, const std::string& path,
             const Present& present, const std::vector<std::string>& tops, ReloadPlan& plan) {
  const std::string type = new_node.value("type", "supervisor");
  const Presence presence = present.at(path);
  auto keys = different_keys(old_node, new_node);
  const auto back = taken_back(type, path, tops);
  if (back) {
    plan.changes.push_back({*back, path, type == "process" ? std::vector<std::string>() : std::exchange(keys, {})});
  }
  if (!keys.empty() || (!back && presence == Presence::interrupted)) {
    const auto kind = kind_of(old_node, new_node, keys, presence);
    plan.changes.push_back({kind, path, std::move(keys)});
  }
  if (common_ids(old_node, new_node) != common_ids(new_node, old_node)) {
    plan.changes.push_back({Change::Kind::reordered, path, {}});
  }
  const auto path_of = [&path](const ordered_json& child) { return path + "/" + child.value("id", ""); };
  for (const ordered_json& child : member(old_node, "children")) {
    if (entry_of(new_node, member(child, "id")) == nullptr) {
      plan.changes.push_back({Change::Kind::removed, path_of(child), {}});
    }
  }
  for (const ordered_json& child : member(new_node, "children")) {
    const ordered_json* before = entry_of(old_node, member(child, "id"));
    const bool is_gone = before != nullptr && present.at(path_of(child)) == Presence::gone;
    if (is_gone && !comes_back(*before, child, path_of(child), present)) continue;
    if (before == nullptr || is_gone) {
      plan.changes.push_back({Change::Kind::added, path_of(child), {}});
    } else if (member(*before, "type") != member(child, "type")) {
      plan.changes.push_back({Change::Kind::replaced, path_of(child), {"type"}});
    } else {
      compare(*before, child, path_of(child), present, tops, plan);
    }
  }
}

void compare_section(const ordered_json& old_file, const ordered_json& new_file, const std::string& name,
                     ReloadPlan& plan) {
  const ordered_json& before = member(old_file, name);
  const ordered_json& after = member(new_file, name);
  if (before == after) return;
  if (is_one_of(kFixed, "/" + name)) {
    plan.needs_restart.push_back("/" + name);
    return;
  }
  std::vector<std::string> keys;
  for (std::string& key : different_keys(before, after)) {
    const std::string pointer = "/" + name + "/" + key;
    if (is_one_of(kFixed, pointer)) {
      plan.needs_restart.push_back(pointer);
    } else {
      keys.push_back(std::move(key));
    }
  }
  if (!keys.empty()) plan.changes.push_back({Change::Kind::in_place, name, std::move(keys)});
}

void leave_out_disabled(ordered_json& supervisor) {
  const auto children = supervisor.find("children");
  if (children == supervisor.end()) return;
  for (auto child = children->begin(); child != children->end();) {
    child = is_enabled(*child) ? child + 1 : children->erase(child);
  }
  for (ordered_json& child : *children) leave_out_disabled(child);
}

}  // namespace

bool is_enabled(const ordered_json& entry) {
  return entry.value("enabled", true);
}

ReloadPlan plan_reload(ordered_json old_file, ordered_json new_file, const Present& present,
                       std::vector<Leaving> leaving) {
  ReloadPlan plan;
  std::vector<std::string> tops;
  leave_out_disabled(old_file["supervisor"]);
  leave_out_disabled(new_file["supervisor"]);
  // What is above another comes first.
  std::ranges::sort(leaving, {}, &Leaving::path);
  for (const Leaving& one : leaving) {
    if (put_back(old_file["supervisor"], new_file, one)) tops.push_back(one.path);
  }
  for (const auto& [name, value] : new_file.items()) {
    if (name != "supervisor" && name != "$schema") compare_section(old_file, new_file, name, plan);
  }
  compare(member(old_file, "supervisor"), member(new_file, "supervisor"), "root", present, tops, plan);
  return plan;
}

}  // namespace bulkhead::reload
