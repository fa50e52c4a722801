#include "master/journal/exit_text.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::journal {

std::string killed_text(std::string_view signal, bool core_dumped) {
  return fmt::format("killed by {}{}", signal, core_dumped ? " (core dumped)" : "");
}

std::string exited_text(int status) {
  return fmt::format("exited with status {}", status);
}

std::string exit_text(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return exited_text(WEXITSTATUS(wait_status));
  return killed_text(sys::signal_name(WTERMSIG(wait_status)), WCOREDUMP(wait_status));
}

std::string cause_text(int wait_status, const std::string& failure, bool was_ready) {
  if (!failure.empty()) return failure;
  return (WIFSIGNALED(wait_status) ? "was " : "") + exit_text(wait_status) + (was_ready ? "" : " before it was ready");
}

std::string remark_of(const std::string& failure, std::uint32_t adopted) {
  std::string out = failure.empty() ? "" : "it " + failure;
  if (adopted == 0) return out;
  if (!out.empty()) out += "; ";
  const std::string connections =
      adopted == 1 ? "1 connection continues" : fmt::format("{} connections continue", adopted);
  return out + "its " + connections + " (adopted by the master)";
}

std::string exceeded_text(const std::string& child, std::uint32_t max_restarts, double max_seconds) {
  return fmt::format("giving up: {} exceeded max_restarts ({}) within max_seconds ({:g})", child, max_restarts,
                     max_seconds);
}

}  // namespace bulkhead::journal
