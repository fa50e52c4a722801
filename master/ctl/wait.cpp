#include "master/ctl/wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "master/config/duration.h"
#include "master/ctl/output.h"
#include "master/supervision/path.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

// How long a node that has ended may be between two steps of a restart or of a reload.
constexpr std::chrono::seconds kBetweenSteps{1};

bool is_in(const Json& list, std::string_view word) {
  return list.is_array() && std::ranges::any_of(list, [word](const Json& one) { return one == word; });
}

class Wait {
 public:
  Wait(Conversation daemon, std::string socket, const Printer& printer, const Json& params)
      : daemon_(std::move(daemon)),
        socket_(std::move(socket)),
        printer_(printer),
        path_(params["path"].get<std::string>()),
        wanted_(params["state"].get<std::string>()),
        limit_(params.value("timeout", "")) {
    if (const auto limit = config::parse_duration(limit_)) deadline_ = Clock::now() + *limit;
  }

  int run() {
    while (follow()) {
      if (const auto status = watch()) return *status;
      if (!reconnect()) break;  // the daemon's program has been replaced, or the daemon has ended
    }
    return complain("the daemon closed the connection", kCannotConnect);
  }

 private:
  bool reconnect() {
    auto client = Client::connect(socket_);
    if (!client) return false;
    daemon_ = Conversation(std::move(*client));
    return true;
  }

  // The daemon closes a connection that has been idle for long.
  std::optional<protocol::Answer> node_at(const std::string& path) {
    const Json params{{"path", path}};
    auto answer = daemon_.ask("tree", params);
    return answer || !reconnect() ? std::move(answer) : daemon_.ask("tree", params);
  }

  bool follow() {
    auto client = Client::connect(socket_);
    if (!client) return false;
    events_.emplace(std::move(*client));
    const auto answer = events_->ask("events", {{"last", 0}, {"follow", true}});
    return answer && !answer->failure;
  }

  // Nothing: the events have ended.
  std::optional<int> watch() {
    for (;;) {
      const auto found = node_at(path_);
      if (!found) return std::nullopt;
      const Prospect prospect = found->failure ? prospect_without(*found->failure) : of(found->result);
      if (prospect == Prospect::reached) return reached();
      if (prospect == Prospect::never) return hopeless(found->failure);
      const Deadline doubt = prospect == Prospect::doubtful ? Deadline(Clock::now() + kBetweenSteps) : std::nullopt;
      const bool is_last = deadline_ && (!doubt || *deadline_ < *doubt);
      switch (await_change(is_last ? deadline_ : doubt)) {
        case Change::seen: continue;
        case Change::passed: return reached();
        case Change::closed: return std::nullopt;
        case Change::none: return is_last ? too_late() : hopeless(found->failure);
      }
    }
  }

  Prospect of(const Json& node) {
    state_ = member_text(node, "state");
    return prospect_of(node, wanted_);
  }

  // A node appears with the start of its supervisor and goes with its end; a temporary one goes with its own.
  Prospect prospect_without(const protocol::Failure& failure) {
    const bool was_there = !std::exchange(state_, "").empty();
    if (failure.code != protocol::kNoSuchObject) return Prospect::never;
    if (was_there && wanted_ == "stopped") return Prospect::reached;
    for (std::string above = supervision::parent_of(path_); !above.empty(); above = supervision::parent_of(above)) {
      const auto found = node_at(above);
      if (!found || found->failure) continue;
      const std::string state = member_text(found->result, "state");
      if (state == "running") return was_there ? Prospect::doubtful : Prospect::never;
      return prospect_of(found->result, "running");
    }
    return Prospect::never;
  }

  enum class Change { seen, passed, closed, none };
  Change await_change(const Deadline& deadline) {
    for (;;) {
      if (!events_->is_readable(deadline)) return Change::none;
      const auto event = events_->next_news();
      if (!event) return Change::closed;
      const std::string path = member_text(*event, "path");
      if (path == path_ && state_after(*event) == wanted_) return Change::passed;
      if (supervision::is_at_or_below(path, path_) || supervision::is_at_or_below(path_, path)) return Change::seen;
    }
  }

  int reached() const {
    if (printer_.json()) return printer_.result("wait", {}, {{"ok", true}});
    print(fmt::format("{} is {}\n", path_, wanted_));
    return kOk;
  }

  int too_late() const {
    const std::string now = state_.empty() ? "" : fmt::format("; it is {}", state_);
    return printer_.failure(
        {protocol::kNegative, fmt::format("{} was not {} within {}{}", path_, wanted_, limit_, now), "timeout"});
  }

  int hopeless(const std::optional<protocol::Failure>& failure) const {
    if (failure) return printer_.failure(*failure);
    return printer_.failure({protocol::kNegative,
                             fmt::format("{} is {}, and does not become {} by itself", path_, state_, wanted_),
                             state_});
  }

  Conversation daemon_;
  std::optional<Conversation> events_;
  std::string socket_;
  const Printer& printer_;
  std::string path_;
  std::string wanted_;
  std::string limit_;
  Deadline deadline_;
  std::string state_;  // when we last looked; empty: it was not there
};

}  // namespace

// Nodes that operators have stopped are theirs to start.
Prospect prospect_of(const Json& node, std::string_view wanted) {
  const std::string state = member_text(node, "state");
  if (state == wanted) return Prospect::reached;
  if (state == "failed") return Prospect::never;
  const bool has_ended = state == "stopped";
  if (!has_ended || is_in(member(node, "differs"), "stopped")) return Prospect::open;
  return member(node, "waits_for").is_string() ? Prospect::open : Prospect::doubtful;
}

std::string_view state_after(const Json& event) {
  const std::string name = member_text(event, "event");
  if (name == "child_started") return "starting";
  if (name == "child_ready") return "running";
  if (name == "child_stopping") return "stopping";
  if (name == "child_restarting" && member_number(event, "delay_ms") > 0) return "waiting";
  return "";
}

int is_running(Conversation& daemon, const Printer& printer, const Json& params) {
  const auto node = daemon.ask("tree", params);
  if (!node) return complain("the daemon closed the connection without an answer", kCannotConnect);
  if (node->failure) return printer.failure(*node->failure);
  const std::string state = member_text(node->result, "state");
  const bool running = state == "running";
  if (printer.json()) (void)printer.result("is-running", params, {{"running", running}, {"state", state}});
  return running ? kOk : kNo;
}

int wait_for_state(Conversation daemon, const std::string& socket, const Printer& printer, const Json& params) {
  return Wait(std::move(daemon), socket, printer, params).run();
}

}  // namespace bulkhead::ctl
