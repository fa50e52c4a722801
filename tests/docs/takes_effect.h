// When a changed value of an option takes effect, in the words of bulkhead.json(5). The answer comes from the plan of a
// reload between two files that differ only in this option.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/option_table.h"
#include "master/reload/plan.h"

namespace bulkhead::docs {

using nlohmann::ordered_json;

// "in_place", "new_workers", "restarted", "needs_restart" …; in the order of the plan, joined by +.
inline std::string how(const ordered_json& before, const ordered_json& after) {
  const reload::ReloadPlan plan = reload::plan_reload(before, after);
  std::string out;
  for (const reload::Change& change : plan.changes) {
    out += (out.empty() ? "" : "+") + std::string(reload::kChangeWords.text(change.kind));
  }
  if (!plan.needs_restart.empty()) out += "needs_restart";
  return out;
}

// For a child of that type, and a value that grows from 1 to 2 or shrinks.
inline std::string how_child(const char* type, std::string_view key, bool grows) {
  const auto file = [&](int value) {
    ordered_json child{{"id", "x"}, {"type", type}};
    child[std::string(key)] = value;
    return ordered_json{{"supervisor", {{"children", {child}}}}};
  };
  return grows ? how(file(1), file(2)) : how(file(2), file(1));
}

inline std::string how_section(const char* section, std::string_view key) {
  const auto file = [&](int value) {
    return ordered_json{{section, {{std::string(key), value}}}, {"supervisor", {{"children", ordered_json::array()}}}};
  };
  return how(file(1), file(2));
}

inline std::string how_root(std::string_view key) {
  const auto file = [&](int value) { return ordered_json{{"supervisor", {{std::string(key), value}}}}; };
  return how(file(1), file(2));
}

inline std::string words_of_section(const std::string& how) {
  return how == "needs_restart" ? "at restart of the daemon" : how == "in_place" ? "at reload" : "never";
}

inline std::string words_of_child(const std::vector<const char*>& types, std::string_view key) {
  std::set<std::string> all;
  std::string listener;
  for (const char* type : types) {
    const std::string grown = how_child(type, key, true);
    if (grown != how_child(type, key, false)) return "at reload, with new workers where it grows";
    all.insert(grown);
    if (std::string_view(type) == "listener") listener = grown;
  }
  if (all == std::set<std::string>{"in_place"}) return "at reload";
  if (all == std::set<std::string>{"new_workers"}) return "at reload, with new workers";
  if (all == std::set<std::string>{"restarted"}) return "at reload, with a restart of the process";
  if (all == std::set<std::string>{"new_workers", "restarted"}) {
    return "at reload, with new workers or a restart of the process";
  }
  if (listener == "new_workers" && all.size() == 2 && all.contains("in_place")) {
    return "at reload, for a listener with new workers";
  }
  return "?";
}

inline std::string takes_effect(const config::Option& option) {
  using config::Scope;
  const std::string_view key = option.name;
  switch (option.scope) {
    case Scope::top:
      if (key == "$schema") return "never";
      return key == "include" ? "at reload" : "key by key";
    case Scope::daemon: return words_of_section(how_section("daemon", key));
    case Scope::control: return words_of_section(how_section("control", key));
    case Scope::log: return words_of_section(how_section("log", key));
    case Scope::own_log: return words_of_child({"listener", "process"}, "log");
    case Scope::child:
      if (key == "id") return "at reload, as the end of one child and the start of another";
      if (key == "type") return "at reload, as the end of one child and the start of another";
      if (key == "enabled") return "at reload, as the start or the end of the child";
      if (key == "instances") return "at reload, as the start or the end of children";
      return words_of_child({"listener", "process", "supervisor"}, key);
    case Scope::listener: return words_of_child({"listener"}, key);
    case Scope::process: return words_of_child({"process"}, key);
    case Scope::child_keys: return words_of_child({"listener", "process"}, key);
    case Scope::root: return words_of_section(how_root(key));
    case Scope::supervisor:
      if (key == "defaults") return "like the keys in it";
      return key == "children" ? "child by child" : words_of_child({"supervisor"}, key);
    case Scope::restart_delay: return words_of_child({"listener", "process", "supervisor"}, "restart_delay");
    case Scope::handler:
    case Scope::module: return words_of_child({"listener"}, "handler");
    case Scope::user: return words_of_child({"listener", "process"}, "user");
    case Scope::rlimits: return words_of_child({"listener", "process"}, "rlimits");
    case Scope::sandbox:
    case Scope::system_calls:
    case Scope::paths:
    case Scope::network: return words_of_child({"listener", "process"}, "sandbox");
    case Scope::source_prefix: return words_of_child({"listener"}, "source_prefix");
    case Scope::penalties: return words_of_child({"listener"}, "penalties");
    case Scope::keepalive: return words_of_child({"listener"}, "keepalive");
    case Scope::rule: return words_of_child({"listener"}, "rules");
    case Scope::rate: return "as the option that contains it";
  }
  return "?";
}

}  // namespace bulkhead::docs
