#include "master/simulate/timeline.h"

#include <chrono>
#include <utility>

#include "master/supervision/words.h"

namespace bulkhead::simulation {

namespace {

namespace report = supervision::report;

std::int64_t milliseconds(supervision::Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

Json entry(supervision::Instant at, const char* event, const std::string& path) {
  const auto since_start = at.time_since_epoch();
  return {{"seconds", static_cast<double>(milliseconds(since_start)) / 1000}, {"event", event}, {"path", path}};
}

struct Teller {
  supervision::Instant at;
  const std::string& reason;

  Json operator()(const report::SupervisorStarted& r) const { return entry(at, "supervisor_started", r.path); }
  Json operator()(const report::SupervisorTerminated& r) const {
    Json out = entry(at, "supervisor_terminated", r.path);
    out["cause"] = supervision::kCauseWords.text(r.cause);
    return out;
  }
  Json operator()(const report::ChildReady& r) const { return entry(at, "child_ready", r.path); }
  Json operator()(const report::StartFailed& r) const { return entry(at, "start_failed", r.path); }
  Json operator()(const report::ChildStopping& r) const {
    Json out = entry(at, "child_stopping", r.path);
    out["how"] = r.kill ? "SIGKILL" : "SIGTERM";
    return out;
  }
  Json operator()(const report::ChildExited& r) const {
    Json out = entry(at, "child_exited", r.path);
    out["reason"] = reason;
    out["asked"] = r.asked;
    return out;
  }
  Json operator()(const report::ChildRestarting& r) const {
    Json out = entry(at, "child_restarting", r.path);
    out["delay_ms"] = milliseconds(r.delay);
    out["restarts_in_window"] = r.restarts_in_window;
    return out;
  }
  Json operator()(const report::ChildRemoved& r) const { return entry(at, "child_removed", r.path); }
  Json operator()(const report::IntensityExceeded& r) const {
    Json out = entry(at, "intensity_exceeded", r.path);
    out["child"] = r.child;
    out["max_restarts"] = r.max_restarts;
    out["max_seconds"] = std::chrono::duration<double>(r.max_seconds).count();
    return out;
  }
  template <typename Other>
  Json operator()(const Other&) const {
    return nullptr;
  }
};

}  // namespace

Json timeline_entry(supervision::Instant at, const supervision::Report& report, const std::string& reason) {
  return std::visit(Teller{at, reason}, report);
}

Json not_running_entry(supervision::Instant at, const std::string& path, std::string_view state) {
  Json out = entry(at, "not_running", path);
  out["state"] = state;
  return out;
}

}  // namespace bulkhead::simulation
