// The dry run of an upgrade: the new program is executed as a child, with the state that it is to take over, and has to
// answer that it could. It changes nothing of the running daemon; its time is limited.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

inline constexpr int kCheckedStateFd = 3;                            // where the child finds the state
inline constexpr std::string_view kCheckAnswer = "can take over: ";  // then the version, on standard output

class ProgramCheck {
 public:
  static constexpr std::chrono::seconds kPatience{5};

  struct Outcome {
    std::string version;
    std::string problem;  // not empty: it cannot take over, or has not answered
  };

  ProgramCheck(loop::Loop& loop, std::function<void(Outcome)> on_done);

  // `program` and `state` stay the caller's.
  [[nodiscard]] std::optional<sys::Error> start(int program, int state, std::vector<std::string> argv,
                                                std::vector<std::string> environment);
  void cancel(std::string why);  // the outcome is reported nevertheless

  [[nodiscard]] bool knows(pid_t pid) const noexcept { return pid == pid_; }
  // The program has been reaped.
  void ended(int wait_status);

 private:
  std::function<void(Outcome)> on_done_;
  loop::Timer patience_;
  pid_t pid_ = -1;
  sys::Fd answer_;
  sys::Fd complaints_;
  sys::Fd report_;
  std::string why_killed_;
};

}  // namespace bulkhead::upgrade
