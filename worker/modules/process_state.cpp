#include "worker/modules/process_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::modules {

namespace {

constexpr const char* kLimits[] = {"RLIMIT_CPU",      "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
                                   "RLIMIT_CORE",     "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
                                   "RLIMIT_MEMLOCK",  "RLIMIT_AS",    "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
                                   "RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME"};
static_assert(sizeof kLimits / sizeof kLimits[0] == RLIM_NLIMITS);

// Visits the numbers among the names in a directory of /proc.
template <class Visit>
void for_each_number(const char* path, Visit visit) {
  DIR* directory = opendir(path);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const int number = std::atoi(entry->d_name);
    if (number != dirfd(directory)) visit(number);
  }
  closedir(directory);
}

std::string target_of(int fd) {
  char target[PATH_MAX];
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : "?";
}

std::string octal(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode));
  return text;
}

}  // namespace

ProcessState ProcessState::capture() {
  ProcessState state;
  for (int signal = 1; signal < NSIG; ++signal) {
    (void)sigaction(signal, nullptr, &state.actions_[static_cast<std::size_t>(signal)]);  // fails for libc's own two
  }
  sigprocmask(SIG_SETMASK, nullptr, &state.mask_);
  state.threads_ = 0;
  for_each_number("/proc/self/task", [&state](int) { ++state.threads_; });
  siginfo_t info{};
  state.children_ = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  for (const auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval timer{};
    if (getitimer(which, &timer) == 0 && (timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0)) {
      state.timer_ = true;
    }
  }
  state.umask_ = umask(0);
  umask(state.umask_);
  char directory[PATH_MAX];
  if (getcwd(directory, sizeof directory) != nullptr) state.directory_ = directory;
  state.locale_ = setlocale(LC_ALL, nullptr);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) state.environment_.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for_each_number("/proc/self/fd", [&state](int fd) {
    struct stat status {};
    if (fstat(fd, &status) == 0) state.descriptors_[fd] = {status.st_dev, status.st_ino, target_of(fd)};
  });
  for (std::size_t i = 0; i < state.limits_.size(); ++i) {
    getrlimit(static_cast<__rlimit_resource>(i), &state.limits_[i]);
  }
  return state;
}

std::string ProcessState::signals_since(const ProcessState& before) const {
  for (int signal = 1; signal < NSIG; ++signal) {
    const auto at = static_cast<std::size_t>(signal);
    const struct sigaction& now = actions_[at];
    const struct sigaction& then = before.actions_[at];
    if (now.sa_handler != then.sa_handler || now.sa_flags != then.sa_flags) {
      return std::string("changed what ") + sys::signal_name(signal) + " does";
    }
    if (sigismember(&mask_, signal) != sigismember(&before.mask_, signal)) {
      return std::string(sigismember(&mask_, signal) != 0 ? "blocked " : "unblocked ") + sys::signal_name(signal);
    }
  }
  return "";
}

std::string ProcessState::environment_since(const ProcessState& before) const {
  for (const auto& [name, value] : environment_) {
    const auto then = before.environment_.find(name);
    if (then == before.environment_.end()) return "set the environment variable " + name;
    if (then->second != value) return "changed the environment variable " + name;
  }
  for (const auto& [name, value] : before.environment_) {
    if (!environment_.contains(name)) return "removed the environment variable " + name;
  }
  return "";
}

std::string ProcessState::descriptors_since(const ProcessState& before) const {
  for (const auto& [fd, descriptor] : descriptors_) {
    const auto then = before.descriptors_.find(fd);
    if (then == before.descriptors_.end()) {
      return "left descriptor " + std::to_string(fd) + " open (" + descriptor.target + ")";
    }
    if (!(then->second == descriptor)) return "replaced descriptor " + std::to_string(fd);
  }
  for (const auto& [fd, descriptor] : before.descriptors_) {
    if (!descriptors_.contains(fd)) return "closed descriptor " + std::to_string(fd);
  }
  return "";
}

std::string ProcessState::limits_since(const ProcessState& before) const {
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    if (limits_[i].rlim_cur != before.limits_[i].rlim_cur || limits_[i].rlim_max != before.limits_[i].rlim_max) {
      return std::string("changed the resource limit ") + kLimits[i];
    }
  }
  return "";
}

std::string ProcessState::change_since(const ProcessState& before, Descriptors descriptors) const {
  if (threads_ > before.threads_) {
    const unsigned more = threads_ - before.threads_;
    return "left " + std::to_string(more) + (more == 1 ? " thread running" : " threads running");
  }
  if (children_ && !before.children_) return "left a process running";
  if (timer_ && !before.timer_) return "left a timer running";
  if (umask_ != before.umask_) return "changed the umask to " + octal(umask_);
  if (directory_ != before.directory_) return "changed the working directory to " + directory_;
  if (locale_ != before.locale_) return "changed the locale to " + locale_;
  for (const auto compare :
       {&ProcessState::signals_since, &ProcessState::environment_since, &ProcessState::limits_since}) {
    if (std::string change = (this->*compare)(before); !change.empty()) return change;
  }
  return descriptors == Descriptors::compare ? descriptors_since(before) : "";
}

}  // namespace bulkhead::modules
