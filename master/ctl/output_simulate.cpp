// `simulate`: what happens in virtual time, a sentence for each moment, in the words of `explain`.
#include <fmt/format.h>

#include "master/ctl/escape.h"
#include "master/ctl/output.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

std::string end_words(const Json& entry) {
  const std::string reason = member_text(entry, "reason");
  const char* const asked = member_flag(entry, "asked") ? ", as requested" : "";
  if (reason == "killed") return fmt::format("killed by SIGKILL{}", asked);
  if (reason == "shutdown") return fmt::format("exited{}", asked);
  if (reason == "crash") return fmt::format("crashed{}", asked);
  return fmt::format("exited ({}){}", reason, asked);
}

std::string restart_words(const Json& entry) {
  const double delay = member_number(entry, "delay_ms");
  return fmt::format("restarting {}; restart {} within its supervisor's max_seconds",
                     delay > 0 ? fmt::format("in {:.3f} s", delay / 1000) : "at once",
                     member_text(entry, "restarts_in_window"));
}

std::string supervisor_end_words(const Json& entry) {
  const std::string cause = member_text(entry, "cause");
  if (cause == "intensity") return "gave up, and stopped everything below it";
  if (cause == "auto_shutdown") return "shut itself down (auto_shutdown), because a significant child has ended";
  if (cause == "start_failed") return "could not start, because one of its children could not start";
  return "stopped";
}

std::string words_for(const Json& entry) {
  const std::string event = member_text(entry, "event");
  if (event == "supervisor_started") return "starting";
  if (event == "supervisor_terminated") return supervisor_end_words(entry);
  if (event == "child_ready") return "running";
  if (event == "start_failed") return "could not start";
  if (event == "child_stopping") return "stopping with " + member_text(entry, "how");
  if (event == "child_exited") return end_words(entry);
  if (event == "child_restarting") return restart_words(entry);
  if (event == "child_removed") return "removed from the tree";
  if (event == "not_running") return fmt::format("cannot crash, because it is {}", member_text(entry, "state"));
  if (event != "intensity_exceeded") return event;
  return fmt::format("giving up: {} exceeded max_restarts ({}) within max_seconds ({:g})", member_text(entry, "child"),
                     member_text(entry, "max_restarts"), member_number(entry, "max_seconds"));
}

std::string timeline_text(const Json& timeline) {
  std::string out;
  for (const Json& entry : timeline) {
    out += fmt::format("  {:9.3f} s  {}: {}.\n", member_number(entry, "seconds"), member_text(entry, "path"),
                       words_for(entry));
  }
  return out.empty() ? "  Nothing happens.\n" : out;
}

// "In the end root/a is failed; all others are running."
std::string end_text(const Json& told) {
  if (member_text(told, "root") != "running") return "In the end the root has stopped, and the daemon ends.\n";
  std::string others;
  for (const Json& node : member(told, "nodes")) {
    if (member_text(node, "state") == "running") continue;
    others +=
        fmt::format("{}{} is {}", others.empty() ? "" : ", ", member_text(node, "path"), member_text(node, "state"));
  }
  return others.empty() ? "In the end everything is running.\n"
                        : fmt::format("In the end {}, and everything else is running.\n", others);
}

std::string scenario_text(const Json& scenario) {
  const std::string name = member_text(scenario, "name");
  const std::string about = member_text(scenario, "about");
  std::string out = name.empty() ? "" : fmt::format("Scenario {}{}{}\n", name, about.empty() ? "" : ": ", about);
  for (const Json& step : member(scenario, "steps")) {
    const Json& what = member(step, "what");
    out += what.is_null() ? "Start:\n" : fmt::format("{}:\n", escaped(json_text(what)));
    out += timeline_text(member(step, "timeline"));
  }
  const Json& steps = member(scenario, "steps");
  return steps.empty() ? out : out + end_text(steps.back());
}

}  // namespace

std::string crashes_text(const Json& told) {
  return timeline_text(member(told, "timeline")) + end_text(told);
}

std::string scenarios_text(const Json& told) {
  std::string out;
  for (const Json& scenario : member(told, "scenarios")) out += (out.empty() ? "" : "\n") + scenario_text(scenario);
  return out;
}

}  // namespace bulkhead::ctl
