// The descriptors of a handover on both sides of execve(2): which ones go along, and whether a number still means what
// it meant. Every other descriptor of bulkhead is close-on-exec from birth and stays behind.
#pragma once

#include <string>
#include <vector>

#include "master/lifecycle/handover.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::lifecycle {

// Fills in `descriptors`.
void name_descriptors(Handover& handover);

// A sealed memfd with this text.
[[nodiscard]] sys::Result<sys::Fd> seal_state(const std::string& text);
// Its text, if it is one: not of a file that somebody may still be writing to.
[[nodiscard]] sys::Result<std::string> read_state(int fd);

// While it lives, the descriptors of `handover` and `also` survive an execve.
class Passage {
 public:
  Passage(const Handover& handover, std::vector<int> also);
  ~Passage();
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  std::vector<int> passed_;
};

// First thing in the new program: close-on-exec again; whatever else is open but 0 to 2 and `state` is closed.
void receive_descriptors(const Handover& handover, int state) noexcept;
// Whether each is what it was. Returns the problem.
[[nodiscard]] std::string check_descriptors(const Handover& handover);
// Every one that is named becomes a copy, its future owner's to close, so that what came with us stays open for the
// program that may have to be executed again. Returns the problem.
[[nodiscard]] std::string copy_descriptors(Handover& handover);
void close_originals(const Handover& handover) noexcept;

}  // namespace bulkhead::lifecycle
