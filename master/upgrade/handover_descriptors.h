// The descriptors of a handover on both sides of execve(2): which ones go along, and whether a number still means what
// it meant. Every other descriptor of bulkhead is close-on-exec from birth and stays behind.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "master/upgrade/handover.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

// Fills in `descriptors`. An error: for one of them the system does not tell what it is.
[[nodiscard]] std::optional<sys::Error> name_descriptors(Handover& handover);

// A sealed memfd with this text.
[[nodiscard]] sys::Result<sys::Fd> seal_state(const std::string& text);
// Its text, if it is one: not of a file that somebody may still be writing to.
[[nodiscard]] sys::Result<std::string> read_state(int fd);

// While it lives, the descriptors of `handover` and `state` survive an execve; error(): not all of them.
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

// First thing in the new program: whatever else is open but 0 to 2 and `state` is closed; and what came is
// close-on-exec again, unless it may have to go back.
void receive_descriptors(const Handover& handover, int state, bool may_go_back) noexcept;
// Whether each is what it was. Returns the problem.
[[nodiscard]] std::string check_descriptors(const Handover& handover);
// Every one that is named becomes a copy, its future owner's to close, so that what came with us stays open for the
// program that may have to be executed again. Returns the problem.
[[nodiscard]] std::string copy_descriptors(Handover& handover);
void close_originals(const Handover& handover) noexcept;

}  // namespace bulkhead::upgrade
