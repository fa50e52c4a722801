#include "master/config/trust.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "master/config/paths.h"
#include "master/config/walk.h"

namespace bulkhead::config {

namespace {

sys::Error untrusted(std::string sentence) {
  return {std::move(sentence), "", 0};
}

// The mode of a link means nothing. What is neither a file nor a directory cannot be obeyed: its user finds out.
std::optional<sys::Error> judge(const Step& step) {
  const struct stat& status = step.status;
  if (S_ISLNK(status.st_mode)) {
    if (is_ours_or_roots(status)) return std::nullopt;
    return untrusted(fmt::format("{} is a link of uid {}", step.path, status.st_uid));
  }
  const bool counts = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
  if (!counts || !others_may_write(status)) return std::nullopt;
  return untrusted(fmt::format("others may write to {}: {}", step.path, mode_and_owner(status)));
}

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
  return walk(path, "", judge);
}

std::optional<sys::Error> why_not_for_pid_file(const std::string& directory) {
  constexpr const char* kOperation = "pid file in";
  struct stat status {};
  if (stat(directory.c_str(), &status) != 0) return sys::Error{kOperation, directory, errno};
  if (!is_ours_or_roots(status)) {
    return sys::Error{kOperation, directory + ", which belongs to another user", EPERM};
  }
  const bool shared = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (shared) return sys::Error{kOperation, directory + ", which others may write to", EPERM};
  return std::nullopt;
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
