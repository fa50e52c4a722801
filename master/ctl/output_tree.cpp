// `tree`: one line per node, indented under its supervisor.
#include <fmt/format.h>

#include <cmath>

#include "master/config/counted.h"
#include "master/ctl/output.h"
#include "master/ctl/table.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMissing = "missing";  // in the place of a state
constexpr const char* kDisabled = "disabled";

struct Lines {
  const char* branch;
  const char* last;
  const char* trunk;
  const char* none;
};
constexpr Lines kUnicode{"├─ ", "└─ ", "│  ", "   "};
constexpr Lines kAscii{"|- ", "`- ", "|  ", "   "};

std::string restarts_allowed(const Json& node) {
  const bool is_one = member(node, "max_restarts") == 1;
  return fmt::format("{} of {} {} in {:g} s", member_text(node, "restarts_in_window"),
                     member_text(node, "max_restarts"), is_one ? "restart" : "restarts",
                     member_number(node, "max_seconds"));
}

// Of the root, while a reload waits to be confirmed.
std::string unconfirmed_of(const Json& node) {
  const Json& left = member(member(node, "unconfirmed"), "remaining_seconds");
  return left.is_number() ? fmt::format(", goes back in {} unless confirmed", span_text(std::ceil(left.get<double>())))
                          : "";
}

std::string endpoints_text(const Json& node) {
  std::string out;
  const Json& endpoints = member(node, "endpoints");
  if (!endpoints.is_array()) return out;
  for (const Json& endpoint : endpoints) {
    std::string address = member_text(endpoint, "address");
    if (address.empty()) address = member_text(endpoint, "listen");
    out += (out.empty() ? "" : " ") + address;
  }
  return out;
}

std::string connections_of(const Json& node) {
  const Json& counts = member(node, "connections");
  if (!counts.is_object()) return {};
  std::string out = ", " + config::counted(static_cast<std::uint64_t>(member_number(counts, "active")), "connection");
  if (member_number(counts, "adopted") > 0) out += fmt::format(" ({} adopted)", member_text(counts, "adopted"));
  if (member_number(counts, "crashed") > 0) out += fmt::format(", {} crashed", member_text(counts, "crashed"));
  return out;
}

std::string leaf_text(const Json& node, const std::string& type) {
  std::string out = type;
  const std::string restart = member_text(node, "restart");
  if (!restart.empty() && restart != "permanent") out += ", " + restart;
  const Json& due = member(node, "restart_in_seconds");
  const Json& first = member(node, "start_in_seconds");
  for (const Json* when : {&due, &first}) {
    if (when->is_number()) out += fmt::format(", starts in {:.1f} s", when->get<double>());
  }
  const std::string status = member_text(node, "status");
  return status.empty() ? out : out + ", \"" + status + "\"";
}

// What operators have made different from the file, but for what the state and the other remarks say already.
std::string differences_of(const Json& node) {
  std::string out;
  const Json& differences = member(node, "differs");
  if (!differences.is_array()) return out;
  for (const Json& one : differences) {
    if (one == "stopped") out += ", stopped by an operator";
    if (one == "added") out += ", added by an operator";
    if (one == "deleted") out += ", deleted by an operator";
    if (one == "scaled") out += fmt::format(", scaled ({} in the file)", member_text(node, "file_workers"));
  }
  return out;
}

// Details that have no column of their own.
std::string details_of(const Json& node) {
  const std::string type = member_text(node, "type");
  const std::string state = member_text(node, "state");
  if (state == kMissing || state == kDisabled) return type;
  if (type == "supervisor") {
    const std::string places = places_text(node);
    return fmt::format("supervisor, {}, {}{}{}", member_text(node, "strategy"), restarts_allowed(node),
                       places.empty() ? "" : ", " + places, unconfirmed_of(node));
  }
  if (type != "listener") return leaf_text(node, type);
  const std::string endpoints = endpoints_text(node);
  std::string out = endpoints.empty() ? "listener" : "listener " + endpoints;
  const std::string phase = member_text(node, "phase");
  if (!phase.empty()) {
    out += ", ending: " + phase;
  } else if (member_flag(node, "suspended")) {
    out += ", suspended";
  }
  const Json& uid = member(node, "uid");
  if (uid.is_number() && uid != 0) out += ", uid " + member_text(node, "uid");
  return out + connections_of(node);
}

std::string remarks_of(const Json& node) {
  const std::string busy = member_text(node, "waits_for");
  return details_of(node) + (busy.empty() ? "" : ", waits for " + busy) + differences_of(node);
}

class TreeTable {
 public:
  explicit TreeTable(const Style& style) : lines_(style.unicode ? kUnicode : kAscii), colour_(style.colour) {
    table_.add({{"NODE"}, {"STATE"}, {"PID", "", true}, {"RESTARTS", "", true}, {""}});
  }
  void add(const Json& node, const std::string& own_line, const std::string& below) {
    const std::string state = member_text(node, "state");
    table_.add({{own_line + member_text(node, "id")},
                {state, colour_of_state(state)},
                {member_text(node, "pid"), "", true},
                {member_text(node, "restarts"), "", true},
                {remarks_of(node)}});
    Json children = member(node, member(node, "workers").is_array() ? "workers" : "children");
    if (!children.is_array()) children = Json::array();
    const Json& missing = member(node, "missing");
    for (const Json& one : missing.is_array() ? missing : Json::array()) {
      children.push_back(one);
      if (one.is_object()) children.back()["state"] = kMissing;
    }
    add_all(children, below);
  }
  [[nodiscard]] std::string text() const { return table_.text(colour_); }

 private:
  void add_all(const Json& nodes, const std::string& below) {
    if (!nodes.is_array()) return;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const bool last = i + 1 == nodes.size();
      add(nodes[i], below + (last ? lines_.last : lines_.branch), below + (last ? lines_.none : lines_.trunk));
    }
  }

  const Lines& lines_;
  bool colour_;
  Table table_;
};

}  // namespace

std::string tree_text(const Json& root, const Style& style) {
  TreeTable tree(style);
  tree.add(root, "", "");
  return tree.text();
}

}  // namespace bulkhead::ctl
