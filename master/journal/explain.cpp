#include "master/journal/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <vector>

#include "master/supervision/path.h"

namespace bulkhead::journal {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxSentences = 40;

// The path itself and every supervisor above it, the path first.
std::vector<std::string> lineage(std::string path) {
  std::vector<std::string> out;
  for (; !path.empty(); path = supervision::parent_of(path)) out.push_back(path);
  return out;
}

std::string how_it_ended(const ordered_json& reason) {
  if (reason.value("type", "") == "signal") {
    return fmt::format("was killed by {}{}", reason.value("signal", ""),
                       reason.value("core", false) ? " (core dumped)" : "");
  }
  return fmt::format("ended with exit status {}", reason.value("status", 0));
}

std::string exited(const ordered_json& event) {
  std::string out =
      fmt::format("(pid {}) {}", event.value("pid", 0), how_it_ended(event.value("reason", ordered_json::object())));
  if (event.value("asked", false)) out += ", as it had been asked to end";
  if (const std::string remark = event.value("remark", ""); !remark.empty()) out += "; " + remark;
  return out;
}

std::string restarting(const ordered_json& event) {
  const auto delay = event.value("delay_ms", std::int64_t{0});
  const std::string when = delay == 0 ? "at once" : fmt::format("after {:.1f} s", static_cast<double>(delay) / 1000);
  return fmt::format("was to be restarted {}: restart {} within its supervisor's max_seconds", when,
                     event.value("restarts_in_window", 0));
}

std::string terminated(const ordered_json& event) {
  const std::string cause = event.value("cause", "");
  if (cause == "intensity") return "gave up, because restarts came too fast, and ended with everything below it";
  if (cause == "auto_shutdown") return "ended by auto_shutdown, because a significant child had finished";
  if (cause == "start_failed") return "could not start, because a child of it could not";
  return "was stopped";
}

std::string words_for(const std::string& name, const ordered_json& event) {
  if (name == "supervisor_started") return "began to start";
  if (name == "supervisor_terminated") return terminated(event);
  if (name == "child_started") return fmt::format("was started (pid {})", event.value("pid", 0));
  if (name == "child_ready") return "became ready";
  if (name == "child_stopping") return fmt::format("was asked to end with {}", event.value("how", ""));
  if (name == "child_exited") return exited(event);
  if (name == "child_restarting") return restarting(event);
  if (name == "child_removed") return "was removed from the tree";
  if (name == "intensity_exceeded") {
    return fmt::format("would have had to restart {} more than max_restarts {} times within {} s",
                       event.value("child", ""), event.value("max_restarts", 0), event.value("max_seconds", 0.0));
  }
  if (name == "fork_failed") return "could not be started: the system gave no process";
  if (name == "watchdog_expired") return "did not report to its watchdog in time and was killed";
  if (name == "listener_bound") return fmt::format("bound {}", event.value("address", ""));
  if (name == "listener_suspended") return "was suspended: clients wait in the queue";
  if (name == "listener_resumed") return "was resumed";
  if (name == "drain_started") return "began to drain";
  if (name == "drain_done") return event.value("called_off", false) ? "was not to drain any more" : "was drained";
  if (name == "children_adopted") {
    return fmt::format("lost worker {}, whose {} connections go on", event.value("from", ""), event.value("count", 0));
  }
  if (name == "accept_paused") return fmt::format("paused accepting ({})", event.value("reason", ""));
  if (name == "accept_resumed") return "accepts again";
  return {};
}

// Empty when there is nothing to say.
std::string told(const ordered_json& event, const std::string& path, const std::string& words) {
  const std::string time = event.value("time", "");
  if (words.empty() || time.size() < 23) return {};
  return fmt::format("{} {} {}.", time.substr(11, 12), path, words);
}

}  // namespace

std::string sentence_of(const EventRecord& record) {
  const ordered_json event = ordered_json::parse(record.json, nullptr, false);
  return event.is_discarded() ? "" : told(event, record.path, words_for(record.event, event));
}

ordered_json explain(const EventRing& events, const std::string& path, std::string_view state,
                     const std::function<bool(const std::string&)>& grouped) {
  const std::vector<std::string> line = lineage(path);
  const auto concerns = [&](const EventRecord& record) {
    if (record.path == path) return true;
    const bool above = std::find(line.begin(), line.end(), record.path) != line.end();
    if (above) return record.event != "children_adopted" && !record.event.starts_with("accept_");
    // A sibling, of the node or of a supervisor above it, that takes others along.
    const std::string parent = supervision::parent_of(record.path);
    const bool sibling = std::find(line.begin() + 1, line.end(), parent) != line.end();
    const bool is_cause = record.event == "child_exited" || record.event == "child_restarting";
    return sibling && is_cause && grouped(parent);
  };
  std::deque<std::string> sentences;
  bool exit_told = state != "failed";
  // Backwards, for the ring is long and only its end is told.
  for (auto record = events.records().rbegin(); record != events.records().rend(); ++record) {
    if (!concerns(*record)) continue;
    if (!exit_told && record->path == path && record->event == "child_exited") {
      exit_told = true;
      sentences.push_front(told(ordered_json::parse(record->json, nullptr, false), path,
                                "is not started again: permanent_failure_exit lists its exit status"));
    }
    if (std::string sentence = sentence_of(*record); !sentence.empty()) sentences.push_front(std::move(sentence));
    if (sentences.size() >= kMaxSentences) break;
  }
  return {{"path", path}, {"state", state}, {"sentences", sentences}};
}

}  // namespace bulkhead::journal
