#include "master/journal/exit_text.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::journal {

std::string exit_text(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return fmt::format("was killed by {}{}", sys::signal_name(WTERMSIG(wait_status)),
                       WCOREDUMP(wait_status) ? " (core dumped)" : "");
  }
  return fmt::format("ended with exit status {}", WEXITSTATUS(wait_status));
}

std::string cause_text(int wait_status, const std::string& failure, bool was_ready) {
  if (!failure.empty()) return failure;
  return exit_text(wait_status) + (was_ready ? "" : " before it was ready");
}

std::string remark_of(const std::string& failure, std::uint32_t adopted) {
  std::string out = failure.empty() ? "" : "it " + failure;
  if (adopted == 0) return out;
  if (!out.empty()) out += "; ";
  return out + (adopted == 1 ? "its connection goes on without it"
                             : fmt::format("its {} connections go on without it", adopted));
}

}  // namespace bulkhead::journal
