#include "master/upgrade/program_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace bulkhead::upgrade {

namespace {

constexpr const char* kSelf = "/proc/self/exe";

// For root, only root's own group may be allowed to write; a daemon that runs as another user may share its files with
// a group.
bool may_others_write(const struct stat& status) {
  const mode_t others = geteuid() == 0 ? S_IWGRP | S_IWOTH : S_IWOTH;
  const bool ours = status.st_uid == 0 || status.st_uid == geteuid();
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  return !ours || ((status.st_mode & others) != 0 && !sticky);
}

sys::Error unsafe(const std::string& path, const std::string& what) {
  return {fmt::format("{} is not executed: {}", path, what), "", 0};
}

}  // namespace

std::string own_program_path() {
  std::error_code error;
  return std::filesystem::read_symlink(kSelf, error).string();
}

sys::Result<sys::Fd> open_own_program() {
  sys::Fd out(open(kSelf, O_PATH | O_CLOEXEC));
  if (!out) return sys::Error{"open", kSelf, errno};
  return out;
}

sys::Result<sys::Fd> open_program(const std::string& path) {
  if (path.empty() || path.front() != '/') return unsafe("the program", "its path is not known");
  sys::Fd out(open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!out || fstat(out.get(), &status) != 0) return sys::Error{"open", path, errno};
  if (!S_ISREG(status.st_mode)) return unsafe(path, "it is not a regular file");
  if (may_others_write(status)) return unsafe(path, "others may write to it");
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return sys::Error{"execute", path, errno};
  for (std::filesystem::path at = std::filesystem::path(path).parent_path();; at = at.parent_path()) {
    if (stat(at.c_str(), &status) != 0) return sys::Error{"stat", at.string(), errno};
    if (may_others_write(status)) return unsafe(path, fmt::format("others may write to {}", at.string()));
    if (at == at.root_path()) return out;
  }
}

}  // namespace bulkhead::upgrade
