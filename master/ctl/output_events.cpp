// `events`: "12:04:05.123 root/echo/2  child_exited  pid 812 killed by SIGSEGV".
#include <fmt/format.h>

#include "master/ctl/escape.h"
#include "master/ctl/output.h"
#include "master/ctl/table.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

// The clock part of an RFC 3339 time; any other text is returned unchanged.
std::string clock_of(const std::string& time) {
  return time.size() == 24 && time[10] == 'T' ? time.substr(11, 12) : time;
}

std::string exit_words(const Json& reason) {
  const std::string type = member_text(reason, "type");
  if (type == "signal") {
    return fmt::format("killed by {}{}", member_text(reason, "signal"),
                       member_flag(reason, "core") ? " (core dumped)" : "");
  }
  if (type == "exit") return fmt::format("ended with exit status {}", member_text(reason, "status"));
  return type;
}

std::string exited(const Json& event) {
  const std::string remark = member_text(event, "remark");
  return fmt::format("pid {} {}{}{}{}", member_text(event, "pid"), exit_words(member(event, "reason")),
                     member_flag(event, "asked") ? ", as requested" : "", remark.empty() ? "" : "; ", remark);
}

std::string restarting(const Json& event) {
  const double delay = member_number(event, "delay_ms");
  return fmt::format("{}, {} in the window", delay > 0 ? fmt::format("in {:.3f} s", delay / 1000) : "at once",
                     member_text(event, "restarts_in_window"));
}

std::string others(const Json& event) {
  std::string out;
  for (const auto& [name, value] : event.items()) {
    if (name == "seq" || name == "time" || name == "event" || name == "path") continue;
    out += (out.empty() ? "" : " ") + escaped(name);
    out += (name == "pid" ? " " : "=") + member_text(event, name.c_str());
  }
  return out;
}

const char* colour_of_event(const std::string& name, const Json& event) {
  if (name == "intensity_exceeded" || name == "fork_failed" || name == "watchdog_expired") return "1;31";
  if (name == "child_exited" || name == "connection_crashed") return member_flag(event, "asked") ? "" : "31";
  if (name == "child_restarting") return "33";
  return name == "child_ready" ? "32" : "";
}

}  // namespace

std::string event_text(const Json& event, const Style& style) {
  const std::string name = member_text(event, "event");
  const std::string details = name == "child_exited"       ? exited(event)
                              : name == "child_restarting" ? restarting(event)
                                                           : others(event);
  return fmt::format("{} {}  {}{}{}\n", clock_of(member_text(event, "time")), member_text(event, "path"),
                     painted(name, colour_of_event(name, event), style.colour), details.empty() ? "" : "  ", details);
}

}  // namespace bulkhead::ctl
