#include "master/journal/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <vector>

#include "master/journal/exit_text.h"
#include "master/supervision/path.h"
#include "worker/sys/result.h"

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

// "root/db (pid 812)", as the subject of a sentence.
std::string with_pid(const ordered_json& event, const std::string& words) {
  return fmt::format(" (pid {}): {}", event.value("pid", 0), words);
}

std::string how_it_ended(const ordered_json& reason) {
  if (reason.value("type", "") != "signal") return exited_text(reason.value("status", 0));
  return killed_text(reason.value("signal", ""), reason.value("core", false));
}

std::string exited(const ordered_json& event) {
  std::string out = how_it_ended(event.value("reason", ordered_json::object()));
  if (event.value("asked", false)) out += ", as requested";
  if (const std::string remark = event.value("remark", ""); !remark.empty()) out += "; " + remark;
  return with_pid(event, out);
}

std::string restarting(const ordered_json& event) {
  const auto delay = event.value("delay_ms", std::int64_t{0});
  const std::string when = delay == 0 ? "at once" : fmt::format("in {:.3f} s", static_cast<double>(delay) / 1000);
  return fmt::format(": restarting {}; restart {} within its supervisor's max_seconds", when,
                     event.value("restarts_in_window", 0));
}

std::string terminated(const ordered_json& event) {
  const std::string cause = event.value("cause", "");
  if (cause == "intensity") return ": gave up, and stopped everything below it";
  if (cause == "auto_shutdown") return ": shut itself down (auto_shutdown), because a significant child has ended";
  if (cause == "start_failed") return ": could not start, because one of its children could not start";
  return ": stopped";
}

std::string giving_up(const ordered_json& event) {
  return ": " +
         exceeded_text(event.value("child", ""), event.value("max_restarts", 0U), event.value("max_seconds", 0.0));
}

std::string cannot_start(const ordered_json& event) {
  return ": " + sys::Error{"cannot start", "", event.value("errno", 0)}.text();
}

std::string adopted(const ordered_json& event) {
  const auto count = event.value("count", std::uint32_t{0});
  return fmt::format(": {} of {} {} (adopted by the master)",
                     count == 1 ? "1 connection" : fmt::format("{} connections", count), event.value("from", ""),
                     count == 1 ? "continues" : "continue");
}

// The text after the path; empty for events that explain nothing.
std::string words_for(const std::string& name, const ordered_json& event) {
  if (name == "supervisor_started") return ": starting";
  if (name == "supervisor_terminated") return terminated(event);
  if (name == "child_started") return with_pid(event, "started");
  if (name == "child_ready") return ": ready";
  if (name == "child_stopping") return fmt::format(": stopping with {}", event.value("how", ""));
  if (name == "child_exited") return exited(event);
  if (name == "child_restarting") return restarting(event);
  if (name == "child_removed") return ": removed from the tree";
  if (name == "intensity_exceeded") return giving_up(event);
  if (name == "fork_failed") return cannot_start(event);
  if (name == "watchdog_expired") return ": does not answer: killed";
  if (name == "listener_bound") return fmt::format(": bound {}", event.value("address", ""));
  if (name == "listener_suspended") return ": suspended: new clients wait in the queue";
  if (name == "listener_resumed") return ": resumed";
  if (name == "drain_started") return ": drain started";
  if (name == "drain_done") return event.value("called_off", false) ? ": drain called off" : ": drained";
  if (name == "children_adopted") return adopted(event);
  if (name == "accept_paused") return fmt::format(": accepting paused ({})", event.value("reason", ""));
  if (name == "worker_recycled") return fmt::format(": {}: replaced", event.value("reason", ""));
  if (name == "accept_resumed") return ": accepting again";
  return {};
}

// Empty if `words` is empty.
std::string timed_sentence(const ordered_json& event, const std::string& path, const std::string& words) {
  const std::string time = event.value("time", "");
  if (words.empty() || time.size() < 23) return {};
  return fmt::format("{} {}{}.", time.substr(11, 12), path, words);
}

}  // namespace

std::string sentence_of(const EventRecord& record) {
  const ordered_json event = ordered_json::parse(record.json, nullptr, false);
  return event.is_discarded() ? "" : timed_sentence(event, record.path, words_for(record.event, event));
}

// The latest event after `since` that this is true of; null: none, or it cannot be read.
template <class Which>
std::pair<const EventRecord*, ordered_json> latest(const EventRing& events, std::uint64_t since, Which which) {
  for (auto record = events.records().rbegin(); record != events.records().rend() && record->seq > since; ++record) {
    if (!which(*record)) continue;
    ordered_json event = ordered_json::parse(record->json, nullptr, false);
    if (event.is_discarded()) break;
    return {&*record, std::move(event)};
  }
  return {nullptr, nullptr};
}

FailedStart why_not_started(const EventRing& events, const std::string& path, std::uint64_t since) {
  const auto [end, how] = latest(events, since, [&path](const EventRecord& record) {
    const bool is_end = record.event == "child_exited" || record.event == "fork_failed";
    return is_end && supervision::is_at_or_below(record.path, path);
  });
  if (end == nullptr) return {};
  FailedStart out{end->path, end->path + words_for(end->event, how), ""};
  if (end->event == "fork_failed") return out;
  if (!how.contains("remark")) out.words += " before it was ready";
  const auto [begin, start] = latest(events, since, [&out, last = end->seq](const EventRecord& record) {
    return record.event == "child_started" && record.path == out.path && record.seq < last;
  });
  if (begin != nullptr) out.began = start.value("time", "");
  return out;
}

ordered_json explain(const EventRing& events, const Explained& node,
                     const std::function<bool(const std::string&)>& grouped) {
  const std::string& path = node.path;
  const std::vector<std::string> line = lineage(path);
  const auto concerns = [&](const EventRecord& record) {
    if (record.path == path || record.path == node.waits_for) return true;
    const bool above = std::find(line.begin(), line.end(), record.path) != line.end();
    if (above) return record.event != "children_adopted" && !record.event.starts_with("accept_");
    // A sibling of the node or of a supervisor above it, whose end stops others as well.
    const std::string parent = supervision::parent_of(record.path);
    const bool sibling = std::find(line.begin() + 1, line.end(), parent) != line.end();
    const bool is_cause = record.event == "child_exited" || record.event == "child_restarting";
    return sibling && is_cause && grouped(parent);
  };
  std::deque<std::string> sentences;
  bool exit_reported = node.state != "failed";
  // Backwards, because the ring is long and only its end is reported.
  for (auto record = events.records().rbegin(); record != events.records().rend(); ++record) {
    if (!concerns(*record)) continue;
    if (!exit_reported && record->path == path && record->event == "child_exited") {
      exit_reported = true;
      sentences.push_front(
          timed_sentence(ordered_json::parse(record->json, nullptr, false), path,
                         ": failed: permanent_failure_exit lists its exit status, so it is not started again"));
    }
    if (std::string sentence = sentence_of(*record); !sentence.empty()) sentences.push_front(std::move(sentence));
    if (sentences.size() >= kMaxSentences) break;
  }
  ordered_json out{{"path", path}, {"state", node.state}};
  if (node.waits_for) out["waits_for"] = *node.waits_for;
  out["sentences"] = sentences;
  return out;
}

}  // namespace bulkhead::journal
