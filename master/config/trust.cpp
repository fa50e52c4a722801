#include "master/config/trust.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <filesystem>

#include "master/config/paths.h"

namespace bulkhead::config {

namespace {

constexpr int kMostLinks = 40;  // as the kernel has it

bool is_ours_or_roots(const struct stat& status) {
  return status.st_uid == 0 || status.st_uid == geteuid();
}

// A link of /proc leads to an open file, not to what its text says.
bool is_in_proc(const std::string& path) {
  struct statfs system {};
  const std::string directory = std::filesystem::path(path).parent_path();
  return statfs(directory.c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// The walk along a path as the kernel does it: the names that are left, and where it has come.
class Walk {
 public:
  explicit Walk(const std::string& path) { push(path); }

  // Returns the problem; empty: it has arrived, or nothing is there.
  [[nodiscard]] std::string run() {
    std::string problem = check_directory("/");
    while (problem.empty() && !names_.empty()) {
      const std::string name = names_.front();
      names_.pop_front();
      problem = name == ".." ? leave() : enter(name);
    }
    return problem;
  }

 private:
  void push(const std::filesystem::path& path) {
    auto at = names_.begin();
    for (const auto& part : path) {
      if (part == "/" || part == "." || part.empty()) continue;
      at = names_.insert(at, part.string()) + 1;
    }
  }

  std::string leave() {
    at_ = at_.parent_path();
    return "";
  }

  std::string enter(const std::string& name) {
    const std::filesystem::path next = at_ / name;
    struct stat status {};
    if (lstat(next.c_str(), &status) != 0) return stop();
    if (!S_ISLNK(status.st_mode)) {
      at_ = next;
      return judge(next, status);
    }
    if (!is_ours_or_roots(status)) return fmt::format("{} is a link of uid {}", next.string(), status.st_uid);
    return follow(next);
  }

  std::string follow(const std::filesystem::path& link) {
    if (is_in_proc(link)) {
      at_ = link;
      struct stat status {};
      return stat(link.c_str(), &status) == 0 ? judge(link, status) : stop();
    }
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(link, error);
    if (error || ++links_ > kMostLinks) return fmt::format("{}: too many links", link.string());
    push(target);
    if (target.is_absolute()) at_ = "/";
    return "";
  }

  // The open(2) that follows reports what is wrong.
  std::string stop() {
    names_.clear();
    return "";
  }

  static std::string judge(const std::filesystem::path& path, const struct stat& status) {
    const bool is_obeyed = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
    if (!is_obeyed || !others_may_write(status)) return "";
    return fmt::format("others may write to {}: {}", path.string(), mode_and_owner(status));
  }

  static std::string check_directory(const std::filesystem::path& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? judge(path, status) : "";
  }

  std::deque<std::string> names_;
  std::filesystem::path at_ = "/";
  int links_ = 0;
};

}  // namespace

bool others_may_write(const struct stat& status) {
  const mode_t others = geteuid() == 0 ? S_IWGRP | S_IWOTH : S_IWOTH;
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  return !is_ours_or_roots(status) || ((status.st_mode & others) != 0 && !sticky);
}

std::string mode_and_owner(const struct stat& status) {
  return fmt::format("it has mode {:04o} and belongs to uid {}, gid {}", status.st_mode & 07777, status.st_uid,
                     status.st_gid);
}

std::string why_not_trusted(const std::string& path) {
  std::error_code error;
  return Walk(std::filesystem::absolute(path, error)).run();
}

}  // namespace bulkhead::config
