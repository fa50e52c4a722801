// The descriptors of a handover on both sides of execve(2): which ones are passed on, and whether a number still means
// the same descriptor. Every other descriptor of bulkhead is close-on-exec from its creation, and is not passed on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "master/upgrade/handover.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

// Fills in `descriptors`. An error: the system does not identify one of them.
[[nodiscard]] std::optional<sys::Error> name_descriptors(Handover& handover);

// A sealed memfd with this text.
[[nodiscard]] sys::Result<sys::Fd> seal_state(const std::string& text);
// Its text. An error if it is not sealed: another process could still be writing to it.
[[nodiscard]] sys::Result<std::string> read_state(int fd);

// While it lives, the descriptors of `handover` and `state` survive an execve; error(): the reason if not all of them
// do.
class Passage {
 public:
  Passage(const Handover& handover, int state);
  ~Passage();
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  std::vector<int> passed_;
  int error_ = 0;
};

// Called first in the new program: closes every descriptor except those of the handover, 0 to 2 and `state`, and makes
// those of the handover close-on-exec again, unless they may have to be passed back.
void receive_descriptors(const Handover& handover, int state, bool may_go_back) noexcept;
// Checks that each descriptor still means the same file or socket. Returns the problem.
[[nodiscard]] std::string check_descriptors(const Handover& handover);
// Replaces every named descriptor by a copy, which its future owner closes, so that the original stays open for the
// previous program, which may have to be executed again. Returns the problem.
[[nodiscard]] std::string copy_descriptors(Handover& handover);
void close_originals(const Handover& handover) noexcept;

}  // namespace bulkhead::upgrade
