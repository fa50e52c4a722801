// How a run ended, for its post_stop: in the words that systemd gives to ExecStopPost (systemd.exec(5),
// $SERVICE_RESULT). Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bulkhead::process {

struct RunEnd {
  int wait_status = 0;
  bool expected = false;   // a normal exit, or it was asked to end
  bool asked = false;      // it was asked to end
  bool timed_out = false;  // it was killed because it took too long to become ready or to end
  bool watchdog = false;   // or because its watchdog expired
};

// BULKHEAD_RESULT (and SERVICE_RESULT): success, exit-code, signal, core-dump, timeout or watchdog.
// EXIT_CODE: exited, killed or dumped. EXIT_STATUS: the exit status, or the signal without SIG.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> result_variables(const RunEnd& end);

}  // namespace bulkhead::process
