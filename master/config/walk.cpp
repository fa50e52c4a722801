#include "master/config/walk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::config {

namespace {

constexpr int kMostLinks = 40;  // as many as the kernel follows

// A link of /proc leads to an open file, not to what its text says.
bool is_in_proc(const sys::Fd& link) {
  struct statfs system {};
  return fstatfs(link.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

class Walk {
 public:
  Walk(const std::string& path, const std::string& root, const Judge& judge)
      : path_(path), root_(root.empty() ? "/" : root), judge_(judge) {
    put_before(path);
  }

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
    walked_ = directory_ = root_;
    if (auto error = enter(open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC))) return error;
    root_status_ = status_;
    return std::nullopt;
  }

  std::optional<sys::Error> step() {
    const std::string name = std::move(names_.back());
    names_.pop_back();
    if (name == ".." && is_at_root()) return std::nullopt;
    walked_ = (std::filesystem::path(walked_) / name).lexically_normal();
    if (auto error = enter(openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC))) return error;
    if (S_ISLNK(status_.st_mode)) return follow(name);
    if (!S_ISDIR(status_.st_mode) && !names_.empty()) return sys::Error{"open", path_, ENOTDIR};
    directory_ = walked_;
    return std::nullopt;
  }

  bool is_at_root() const {
    struct stat here {};
    return fstat(at_.get(), &here) == 0 && here.st_dev == root_status_.st_dev && here.st_ino == root_status_.st_ino;
  }

  // Judges what has just been opened as walked_, and stands there unless it is a link.
  std::optional<sys::Error> enter(int opened) {
    sys::Fd found(opened);
    if (!found || fstat(found.get(), &status_) != 0) return sys::Error{"open", walked_, errno};
    const bool link = S_ISLNK(status_.st_mode);
    if (auto error = judge_({walked_, status_, found.get(), names_.empty() && !link})) return error;
    (link ? link_ : at_) = std::move(found);
    return std::nullopt;
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
  const std::string root_;
  const Judge& judge_;
  std::vector<std::string> names_;  // to go, the next one last
  sys::Fd at_;
  sys::Fd link_;
  struct stat status_ {};        // of what was opened last
  struct stat root_status_ {};   // of root_
  std::string walked_ = "/";     // its name, for messages
  std::string directory_ = "/";  // at_'s, unless at_ is the file
  int links_ = 0;
};

}  // namespace

sys::Result<sys::Fd> walk(const std::string& path, const std::string& root, const Judge& judge) {
  return Walk(path, root, judge).to_the_end();
}

}  // namespace bulkhead::config
