#include "master/upgrade/program_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::upgrade {

namespace {

constexpr const char* kSelf = "/proc/self/exe";
constexpr int kMaxLinks = 40;  // as many as the kernel follows

// For root, only root's own group may be allowed to write; a daemon that runs as another user may share its files with
// a group. The mode of a link means nothing.
bool may_others_write(const struct stat& status) {
  const mode_t others = geteuid() == 0 ? S_IWGRP | S_IWOTH : S_IWOTH;
  const bool ours = status.st_uid == 0 || status.st_uid == geteuid();
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  return !ours || (!S_ISLNK(status.st_mode) && (status.st_mode & others) != 0 && !sticky);
}

sys::Error unsafe(const std::string& path, const std::string& what) {
  return {fmt::format("{} is not executed: {}", path, what), "", 0};
}

// Follows a path one name after another, each from the directory before, so that what has been checked is what is used.
class Walk {
 public:
  explicit Walk(const std::string& path) : path_(path) { put_before(path); }

  sys::Result<sys::Fd> to_the_end() {
    if (auto error = begin_at_root()) return std::move(*error);
    while (!names_.empty()) {
      if (auto error = step()) return std::move(*error);
    }
    if (S_ISDIR(status_.st_mode)) return unsafe(path_, "it is not a regular file");
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

  std::optional<sys::Error> begin_at_root() { return enter(sys::Fd(open("/", O_PATH | O_CLOEXEC)), "/"); }

  std::optional<sys::Error> step() {
    const std::string name = std::move(names_.back());
    names_.pop_back();
    walked_ = (walked_ == "/" ? "" : walked_) + "/" + name;
    if (auto error = enter(sys::Fd(openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)), walked_)) {
      return error;
    }
    if (S_ISLNK(status_.st_mode)) return follow();
    if (!S_ISDIR(status_.st_mode) && !names_.empty()) return sys::Error{"open", path_, ENOTDIR};
    directory_ = walked_;
    return std::nullopt;
  }

  // What `found`, which was opened by this name, is.
  std::optional<sys::Error> enter(sys::Fd found, const std::string& name) {
    if (!found || fstat(found.get(), &status_) != 0) return sys::Error{"open", name, errno};
    if (!S_ISDIR(status_.st_mode) && !S_ISLNK(status_.st_mode) && !S_ISREG(status_.st_mode)) {
      return unsafe(name, "it is not a regular file");
    }
    if (may_others_write(status_)) {
      return unsafe(path_, name == path_ ? "others may write to it" : fmt::format("others may write to {}", name));
    }
    if (!S_ISLNK(status_.st_mode)) {
      at_ = std::move(found);
    } else {
      link_ = std::move(found);
    }
    return std::nullopt;
  }

  // The link stands in a directory, from which its target is looked for.
  std::optional<sys::Error> follow() {
    if (++links_ > kMaxLinks) return sys::Error{"open", path_, ELOOP};
    char target[PATH_MAX];
    const ssize_t length = readlinkat(link_.get(), "", target, sizeof target);
    if (length <= 0) return sys::Error{"readlink", walked_, length < 0 ? errno : ENOENT};
    const std::string_view text(target, static_cast<std::size_t>(length));
    put_before(text);
    walked_ = directory_;
    if (text.front() != '/') return std::nullopt;
    walked_ = directory_ = "/";
    return begin_at_root();
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

bool is_running_program(const std::string& path) {
  struct stat there {};
  struct stat own {};
  return stat(path.c_str(), &there) == 0 && stat(kSelf, &own) == 0 && there.st_dev == own.st_dev &&
         there.st_ino == own.st_ino;
}

// The present directory by the name with which the shell went there, if that leads here.
std::string present_directory() {
  const std::unique_ptr<char, decltype(&std::free)> name(get_current_dir_name(), &std::free);
  return name == nullptr ? "" : name.get();
}

std::string absolute(const std::string& path) {
  return path.starts_with('/') ? path : present_directory() + "/" + path;
}

// Empty: not there.
std::string find_in_path(const std::string& name) {
  const char* const given = getenv("PATH");
  std::string_view rest = given == nullptr ? "" : given;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    std::string path = absolute(directory.empty() ? name : fmt::format("{}/{}", directory, name));
    if (is_running_program(path)) return path;
  }
  return "";
}

}  // namespace

std::string own_program_path(const std::string& argv0) {
  std::string path = argv0.find('/') == std::string::npos ? find_in_path(argv0) : absolute(argv0);
  if (!path.empty() && is_running_program(path)) return path;
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
  auto out = Walk(path).to_the_end();
  if (out && faccessat(out->get(), "", X_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) {
    return sys::Error{"execute", path, errno};
  }
  return out;
}

}  // namespace bulkhead::upgrade
