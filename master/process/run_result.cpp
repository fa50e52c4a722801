#include "master/process/run_result.h"

#include <sys/wait.h>

#include "worker/sys/signal_name.h"

namespace bulkhead::process {

namespace {

const char* result_of(const RunEnd& end) {
  if (end.watchdog) return "watchdog";
  const bool killed = WIFSIGNALED(end.wait_status) && WTERMSIG(end.wait_status) == SIGKILL;
  if (killed && end.timed_out) return "timeout";
  if (end.expected) return "success";
  if (!WIFSIGNALED(end.wait_status)) return "exit-code";
  return WCOREDUMP(end.wait_status) ? "core-dump" : "signal";
}

std::string without_sig(const std::string& name) {
  return name.starts_with("SIG") ? name.substr(3) : name;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> result_variables(const RunEnd& end) {
  const int status = end.wait_status;
  const bool signaled = WIFSIGNALED(status);
  const char* const code = !signaled ? "exited" : WCOREDUMP(status) ? "dumped" : "killed";
  return {{"BULKHEAD_RESULT", result_of(end)},
          {"SERVICE_RESULT", result_of(end)},
          {"EXIT_CODE", code},
          {"EXIT_STATUS",
           signaled ? without_sig(sys::signal_name(WTERMSIG(status))) : std::to_string(WEXITSTATUS(status))}};
}

}  // namespace bulkhead::process
