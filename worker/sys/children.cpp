#include "worker/sys/children.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "worker/sys/signal.h"

namespace bulkhead::sys {

std::vector<pid_t> ChildWalk::next() noexcept {
  if (!file_) {
    std::array<char, 64> path{};
    const pid_t parent = parent_ != 0 ? parent_ : getpid();
    std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/children", parent, parent);
    file_.reset(open(path.data(), O_RDONLY | O_CLOEXEC));
    cut_ = 0;
  }
  std::array<char, 4096> text{};
  std::vector<pid_t> out;
  const ssize_t got = file_ ? ::read(file_.get(), text.data(), text.size()) : 0;
  for (ssize_t i = 0; i < got; ++i) {
    if (text[static_cast<std::size_t>(i)] != ' ') {
      cut_ = cut_ * 10 + (text[static_cast<std::size_t>(i)] - '0');
    } else {
      out.push_back(std::exchange(cut_, 0));
    }
  }
  // The kernel fills what it is given but for one number.
  if (got < static_cast<ssize_t>(text.size() / 2)) file_.reset();
  return out;
}

namespace {

// False: there were none, or only some that we may not signal.
bool end_some_children() noexcept {
  bool any = false;
  ChildWalk walk;
  do {
    for (const pid_t child : walk.next()) {
      if (!signal_process(child, SIGKILL)) continue;
      while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
      any = true;
    }
  } while (!walk.at_end());
  return any;
}

}  // namespace

void end_children() noexcept {
  while (end_some_children()) {
  }
}

}  // namespace bulkhead::sys
