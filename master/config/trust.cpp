#include "master/config/trust.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "master/config/paths.h"

namespace bulkhead::config {

namespace {

constexpr int kMostLinks = 40;  // as many as the kernel follows

sys::Error untrusted(std::string sentence) {
  return {std::move(sentence), "", 0};
}

// A link of /proc leads to an open file, not to what its text says.
bool is_in_proc(const sys::Fd& link) {
  struct statfs system {};
  return fstatfs(link.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// Follows a path as the kernel does, one name after another, each from the directory before.
class Walk {
 public:
  explicit Walk(const std::string& path) : path_(path) { put_before(path); }

  sys::Result<sys::Fd> to_the_end() {
    if (auto error = begin_at_root()) return std::move(*error);
    while (!names_.empty()) {
      if (auto error = step()) return std::move(*error);
    }
    return std::move(at_);
  }

 private:
  // The names of `path`, the first one last.
  void put_before(std::string_view path) {
    std::vector<std::string> names;
    while (!path.empty()) {
      const std::string_view name = path.substr(0, path.find('/'));
      if (!name.empty() && name != ".") names.emplace_back(name);
      path.remove_prefix(std::min(path.size(), name.size() + 1));
    }
    names_.insert(names_.end(), names.rbegin(), names.rend());
  }

  std::optional<sys::Error> begin_at_root() {
    walked_ = directory_ = "/";
    return enter(open("/", O_PATH | O_CLOEXEC));
  }

  std::optional<sys::Error> step() {
    const std::string name = std::move(names_.back());
    names_.pop_back();
    walked_ = (std::filesystem::path(walked_) / name).lexically_normal();
    if (auto error = enter(openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC))) return error;
    if (S_ISLNK(status_.st_mode)) return follow(name);
    if (!S_ISDIR(status_.st_mode) && !names_.empty()) return sys::Error{"open", path_, ENOTDIR};
    directory_ = walked_;
    return std::nullopt;
  }

  // Judges what has just been opened as walked_, and stands there unless it is a link.
  std::optional<sys::Error> enter(int opened) {
    sys::Fd found(opened);
    if (!found || fstat(found.get(), &status_) != 0) return sys::Error{"open", walked_, errno};
    if (auto error = judge()) return error;
    (S_ISLNK(status_.st_mode) ? link_ : at_) = std::move(found);
    return std::nullopt;
  }

  // The mode of a link means nothing. What is neither a file nor a directory cannot be obeyed: its user finds out.
  std::optional<sys::Error> judge() const {
    if (S_ISLNK(status_.st_mode)) {
      if (is_ours_or_roots(status_)) return std::nullopt;
      return untrusted(fmt::format("{} is a link of uid {}", walked_, status_.st_uid));
    }
    const bool counts = S_ISREG(status_.st_mode) || S_ISDIR(status_.st_mode);
    if (!counts || !others_may_write(status_)) return std::nullopt;
    return untrusted(fmt::format("others may write to {}: {}", walked_, mode_and_owner(status_)));
  }

  std::optional<sys::Error> follow(const std::string& name) {
    if (++links_ > kMostLinks) return sys::Error{"open", path_, ELOOP};
    if (is_in_proc(link_)) return enter(openat(at_.get(), name.c_str(), O_PATH | O_CLOEXEC));
    char target[PATH_MAX];
    const ssize_t length = readlinkat(link_.get(), "", target, sizeof target);
    if (length <= 0) return sys::Error{"readlink", walked_, length < 0 ? errno : ENOENT};
    const std::string_view text(target, static_cast<std::size_t>(length));
    put_before(text);
    walked_ = directory_;
    return text.front() == '/' ? begin_at_root() : std::nullopt;
  }

  const std::string path_;
  std::vector<std::string> names_;  // to go, the next one last
  sys::Fd at_;
  sys::Fd link_;
  struct stat status_ {};        // of what was opened last
  std::string walked_ = "/";     // its name, for messages
  std::string directory_ = "/";  // at_'s, unless at_ is the file
  int links_ = 0;
};

}  // namespace

bool is_ours_or_roots(const struct stat& status) {
  return status.st_uid == 0 || status.st_uid == geteuid();
}

bool others_may_write(const struct stat& status) {
  const mode_t others = geteuid() == 0 ? S_IWGRP | S_IWOTH : S_IWOTH;
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  return !is_ours_or_roots(status) || ((status.st_mode & others) != 0 && !sticky);
}

std::string mode_and_owner(const struct stat& status) {
  return fmt::format("it has mode {:04o} and belongs to uid {}, gid {}", status.st_mode & 07777, status.st_uid,
                     status.st_gid);
}

sys::Result<sys::Fd> open_trusted(const std::string& path) {
  return Walk(path).to_the_end();
}

std::string why_not_trusted(const std::string& path) {
  std::error_code error;
  const auto opened = open_trusted(std::filesystem::absolute(path, error));
  return opened || opened.error().code != 0 ? "" : opened.error().text();
}

namespace {

// A group may share a directory of logs, as /var/log is on some systems: a daemon that follows no symbolic link there
// gives it nothing by that.
std::string why_not_directory_of_logs(const std::filesystem::path& directory) {
  struct stat status {};
  if (stat(directory.c_str(), &status) != 0) return errno_text(errno);
  if (!S_ISDIR(status.st_mode)) return errno_text(ENOTDIR);
  const bool others = (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (is_ours_or_roots(status) && !others) return "";
  return fmt::format("others may write to {}: {}", directory.native(), mode_and_owner(status));
}

}  // namespace

std::string why_not_writable(const std::string& path) {
  const auto directory = std::filesystem::path(path).parent_path();
  for (auto at = directory;; at = at.parent_path()) {
    if (std::string problem = why_not_directory_of_logs(at); !problem.empty()) return problem;
    if (!at.has_relative_path()) break;
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return errno_text(errno);
    return faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? "" : errno_text(errno);
  }
  if (S_ISDIR(status.st_mode)) return errno_text(EISDIR);
  if (S_ISLNK(status.st_mode)) return "it is a symbolic link, which is not followed";
  return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0 ? "" : errno_text(errno);
}

}  // namespace bulkhead::config
