#include "master/ctl/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "master/config/counted.h"
#include "master/ctl/escape.h"
#include "master/ctl/table.h"
#include "master/protocol/command_table.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

// The result of a verb as a sentence: "root/echo has been stopped".
std::string done_text(std::string_view method, const Json& params, const Json& result) {
  if (member(result, "message").is_string()) return member_text(result, "message") + "\n";
  const protocol::Command* const command = protocol::find_command(method);
  if (command == nullptr || command->done.empty()) return json_text(result) + "\n";
  std::string subject = member_text(params, "path");
  if (subject.empty()) subject = member_text(params, "id");
  if (method == "drain" && subject.empty()) subject = "every listener";
  const bool has_drained = method == "drain" && member_flag(params, "wait");
  return fmt::format("{}{}{}\n", subject, subject.empty() ? "" : " ", has_drained ? "has drained" : command->done);
}

std::string plain(const Json& value) {
  return escaped(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string reload_text(const Json& reload) {
  const bool never = member(reload, "time").is_null() && member_flag(reload, "ok");
  if (!reload.is_object() || never) return {};
  std::string out = fmt::format("The last reload, at {}, was {}.\n", member_text(reload, "time"),
                                member_flag(reload, "ok") ? "accepted" : "rejected");
  const Json& errors = member(reload, "errors");
  if (!errors.is_array()) return out;
  for (const Json& error : errors) out += "  " + plain(error) + "\n";
  return out;
}

std::string last_upgrade_text(const Json& upgrade) {
  if (!upgrade.is_object()) return {};
  std::string out = fmt::format("The last upgrade, at {}, {}.\n", member_text(upgrade, "time"),
                                member_flag(upgrade, "ok") ? "succeeded" : "was rolled back");
  const Json& errors = member(upgrade, "errors");
  if (!errors.is_array()) return out;
  for (const Json& error : errors) out += "  " + plain(error) + "\n";
  return out;
}

std::string upgrade_text(const Json& result) {
  if (!member(result, "version").is_string()) return "The upgrade has begun.\n";  // with --no-wait
  return fmt::format("Upgraded from {} to {}.\n", member_text(result, "previous"), member_text(result, "version"));
}

std::uint64_t count_of(const Json& object, const char* name) {
  return static_cast<std::uint64_t>(std::max(0.0, member_number(object, name)));
}

// "is stopped, is suspended"
std::string difference_words(const Json& node) {
  static constexpr struct {
    const char* how;
    const char* words;
  } kHow[] = {
      {"stopped", "is stopped"}, {"suspended", "is suspended"}, {"added", "was added"}, {"deleted", "was deleted"}};
  std::string out;
  for (const Json& how : member(node, "differs")) {
    std::string words = plain(how);
    for (const auto& known : kHow) {
      if (words == known.how) words = known.words;
    }
    if (words == "scaled") {
      words = fmt::format("has {} instead of {}", config::counted(count_of(node, "workers"), "worker"),
                          member_text(node, "file_workers"));
    }
    out += (out.empty() ? "" : ", ") + words;
  }
  return out;
}

std::string differences_text(const Json& nodes) {
  if (!nodes.is_array() || nodes.empty()) return {};
  std::string out = "Operators have made this different from the file, and only a reload with --reset ends it:\n";
  for (const Json& node : nodes) out += fmt::format("  {} {}\n", member_text(node, "path"), difference_words(node));
  return out;
}

std::string confirm_text(const Json& seconds) {
  if (!seconds.is_number()) return {};
  return fmt::format("The configuration before comes back in {} unless `bulkheadctl confirm` follows.\n",
                     span_text(std::ceil(seconds.get<double>())));
}

// One line for each node that changes: what happens to it, and because of which keys.
std::string changes_text(const Json& result, bool would) {
  static constexpr struct {
    const char* kind;
    const char* words;
  } kKinds[] = {{"in_place", "changes in place"},
                {"new_workers", "gets new workers"},
                {"restarted", "is restarted"},
                {"added", "is added"},
                {"removed", "is ended and removed"},
                {"replaced", "is replaced"},
                {"reordered", "gets its children in another order"},
                {"started", "is started"},
                {"resumed", "accepts connections again"},
                {"taken_back", "is taken back before it has ended"}};
  const Json& changes = member(result, "changes");
  if (!changes.is_array()) return "The reload has begun.\n";  // with --no-wait
  std::string out = changes.empty() ? "Nothing changes.\n" : would ? "A reload would do this:\n" : "Reloaded:\n";
  for (const Json& change : changes) {
    const std::string kind = member_text(change, "kind");
    std::string words = kind;
    for (const auto& known : kKinds) {
      if (kind == known.kind) words = known.words;
    }
    out += fmt::format("  {} {}", member_text(change, "path"), words);
    std::string keys;
    for (const Json& key : member(change, "keys")) keys += (keys.empty() ? "" : ", ") + plain(key);
    out += keys.empty() ? "\n" : fmt::format(" ({})\n", keys);
  }
  for (const Json& pointer : member(result, "needs_restart")) {
    out += fmt::format("Only a restart of the daemon changes {}.\n", plain(pointer));
  }
  if (member_flag(result, "went_back")) {
    out += "What is in effect is the configuration before a reload that was not confirmed.\n";
  }
  return out + confirm_text(member(result, "confirm_seconds")) + differences_text(member(result, "differs"));
}

}  // namespace

const Json& member(const Json& object, const char* name) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(name);
  return found == object.end() ? kNothing : *found;
}

std::string member_text(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_string()) return escaped(value.get_ref<const std::string&>());
  return value.is_null() ? "" : json_text(value);
}

double member_number(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_number() ? value.get<double>() : 0;
}

bool member_flag(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_boolean() && value.get<bool>();
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string span_text(double seconds) {
  constexpr double kMost = 1e12;
  const auto whole = static_cast<std::int64_t>(std::isfinite(seconds) ? std::min(std::max(seconds, 0.0), kMost) : 0);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

const char* colour_of_state(std::string_view state) {
  if (state == "running") return "32";
  if (state == "failed") return "1;31";
  if (state == "stopped" || state == "finished" || state == "disabled") return "2";
  return "33";
}

std::string places_text(const Json& node) {
  const Json& places = member(node, "places");
  if (!places.is_object()) return {};
  std::string out = fmt::format("{} of {} places are used", member_text(places, "used"), member_text(places, "max"));
  const std::uint64_t kept = count_of(places, "reserved");
  if (kept != 0) out += fmt::format(", {} {} for reserved listeners only", kept, kept == 1 ? "is" : "are");
  return out;
}

std::string status_text(const Json& status, const Style& style) {
  const std::string state = member_text(status, "state");
  std::string out =
      fmt::format("bulkheadd {} (pid {}) is {}, up for {}, generation {}.\n", member_text(status, "version"),
                  member_text(status, "pid"), painted(state, colour_of_state(state), style.colour),
                  span_text(member_number(status, "uptime_seconds")), member_text(status, "generation"));
  out += fmt::format("The configuration file is {}.\n", member_text(status, "config"));
  if (const std::string places = places_text(status); !places.empty()) {
    out += "Of daemon.max_connections, " + places + ".\n";
  }
  out += confirm_text(member(member(status, "unconfirmed"), "remaining_seconds"));
  return out + reload_text(member(status, "last_reload")) + last_upgrade_text(member(status, "last_upgrade"));
}

std::string explain_text(const Json& explanation, const Style& style) {
  const std::string state = member_text(explanation, "state");
  const std::string busy = member_text(explanation, "waits_for");
  std::string out =
      fmt::format("{} is {}{}.\n", member_text(explanation, "path"),
                  painted(state, colour_of_state(state), style.colour), busy.empty() ? "" : " and waits for " + busy);
  const Json& sentences = member(explanation, "sentences");
  if (!sentences.is_array()) return out;
  for (const Json& sentence : sentences) {
    if (sentence.is_string()) out += "  " + escaped(sentence.get_ref<const std::string&>()) + "\n";
  }
  return out;
}

std::string readable(std::string_view method, const Json& params, const Json& result, const Style& style) {
  if (method == "status") return status_text(result, style);
  if (method == "tree") return tree_text(result, style);
  if (method == "connections") return connections_text(result, style);
  if (method == "stats") return stats_text(result, style);
  if (method == "penalties" && result.is_array()) return penalties_text(result, style);
  if (method == "logs") return logs_text(result);
  if (method == "explain") return explain_text(result, style);
  if (method == "sandbox") return sandbox_text(result, style);
  if (method == "diff" || method == "reload") return changes_text(result, method == "diff");
  if (method == "upgrade") return upgrade_text(result);
  if (method == "config") return result.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
  return done_text(method, params, result);
}

}  // namespace bulkhead::ctl
