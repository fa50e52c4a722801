#include "master/ctl/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "master/config/counted.h"
#include "master/ctl/conversation.h"
#include "master/ctl/output.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

// In the order of interest: the first kind that occurs is shown, and no other.
enum Kind : std::size_t { kTerminating, kDraining, kLameDuck, kClosing, kStopping, kStarting, kWaiting, kKinds };

// Nodes that wait for the same.
struct Group {
  std::string first;
  std::string type;
  std::uint64_t nodes = 0;
  std::uint64_t connections = 0;
  std::optional<double> seconds;  // the longest

  void add(const Json& node, const Json& left) {
    if (nodes++ == 0) {
      first = member_text(node, "path");
      type = member_text(node, "type");
    }
    connections += static_cast<std::uint64_t>(std::max(0.0, member_number(member(node, "connections"), "active")));
    if (left.is_number()) seconds = std::max(seconds.value_or(0), left.get<double>());
  }
  [[nodiscard]] std::string subject() const {
    if (nodes == 1) return first;
    return fmt::format("{} and {}", first, config::counted(nodes - 1, "other"));
  }
  // ", 25 s until they are ended"
  [[nodiscard]] std::string until(std::string_view what, bool one) const {
    if (!seconds) return "";
    return fmt::format(", {} until {} {}", span_text(std::ceil(*seconds)), one ? "it is" : "they are", what);
  }
  [[nodiscard]] std::string in_seconds() const {
    return seconds ? fmt::format(" in {}", span_text(std::ceil(*seconds))) : "";
  }
};

using Groups = std::array<Group, kKinds>;

std::optional<Kind> kind_of_listener(const std::string& phase) {
  if (phase == "terminating") return kTerminating;
  if (phase == "draining") return kDraining;
  if (phase == "lame_duck") return kLameDuck;
  if (phase == "closing" || phase == "leaving") return kClosing;
  return std::nullopt;
}

std::optional<Kind> kind_of_state(const std::string& state) {
  if (state == "stopping") return kStopping;
  if (state == "starting") return kStarting;
  if (state == "waiting") return kWaiting;
  return std::nullopt;
}

const Json& seconds_of(const Json& node) {
  for (const char* name : {"phase_ends_in_seconds", "killed_in_seconds", "restart_in_seconds", "start_in_seconds"}) {
    if (member(node, name).is_number()) return member(node, name);
  }
  return member(node, "");
}

// Supervisors are what their children are. The workers of a listener that ends are a part of its end.
void collect(const Json& node, Groups& groups) {
  if (const auto phase = kind_of_listener(member_text(node, "phase")))
    return groups.at(*phase).add(node, seconds_of(node));
  bool any = false;
  for (const char* list : {"children", "workers"}) {
    const Json& below = member(node, list);
    if (!below.is_array()) continue;
    any = true;
    for (const Json& one : below) collect(one, groups);
  }
  const auto state = any ? std::nullopt : kind_of_state(member_text(node, "state"));
  if (state) groups.at(*state).add(node, seconds_of(node));
}

std::string text_of(Kind kind, const Group& group) {
  const std::string left = config::counted(group.connections, "connection") + " left";
  const bool one = group.connections == 1;
  switch (kind) {
    case kTerminating:
      return fmt::format("ending the connections of {}: {}{}", group.subject(), left, group.until("killed", one));
    case kDraining: return fmt::format("draining {}: {}{}", group.subject(), left, group.until("ended", one));
    case kLameDuck:
      return fmt::format("draining {}: still accepting connections{}", group.subject(),
                         group.seconds ? ", for " + span_text(std::ceil(*group.seconds)) : "");
    case kClosing: return fmt::format("closing the port of {}", group.subject());
    case kStopping: return fmt::format("stopping {}{}", group.subject(), group.until("killed", group.nodes == 1));
    case kStarting: return fmt::format("starting {}{}", group.subject(), group.in_seconds());
    case kWaiting: return fmt::format("waiting to restart {}{}", group.subject(), group.in_seconds());
    case kKinds: break;
  }
  return "";
}

// Never the whole width, because some terminals break the line there.
std::size_t columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - 1U : 79U;
}

}  // namespace

std::string progress_text(const Json& node) {
  Groups groups;
  collect(node, groups);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    if (groups.at(kind).nodes != 0) return text_of(static_cast<Kind>(kind), groups.at(kind));
  }
  return "";
}

std::optional<Progress> Progress::at_terminal(const std::string& socket, const Invocation& invocation) {
  const char* terminal = std::getenv("TERM");
  const bool plain = terminal == nullptr || std::string_view(terminal) == "dumb";
  if (!invocation.command->changes || plain || isatty(STDERR_FILENO) == 0) return std::nullopt;
  return Progress(socket, invocation.command->name);
}

// The daemon closes this connection too when its program is replaced.
Json Progress::node_at(const std::string& path) {
  if (!client_) {
    auto client = Client::connect(socket_);
    if (!client) return nullptr;
    client_ = std::move(*client);
  }
  Conversation daemon(std::move(*client_));
  client_.reset();
  const auto answer = daemon.ask("tree", path.empty() ? Json::object() : Json{{"path", path}}, [] { return false; });
  if (!answer) return nullptr;
  client_ = std::move(daemon).client();
  return answer->failure ? Json(nullptr) : answer->result;
}

void Progress::look(const std::string& path) {
  const std::string what = progress_text(node_at(path));
  show(fmt::format("{}: {}", method_, what.empty() ? "waiting for the daemon" : what));
}

void Progress::show(const std::string& text) {
  const std::string line = text.substr(0, columns());
  if (line == shown_) return;
  shown_ = line;
  fmt::print(stderr, "\r\x1b[K{}", line);
  std::fflush(stderr);
}

void Progress::clear() {
  if (shown_.empty()) return;
  shown_.clear();
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace bulkhead::ctl
