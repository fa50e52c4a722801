#include "master/host/pid_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>

#include "master/config/trust.h"

namespace bulkhead::host {

namespace {

std::string untrusted_file(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return "it is not a regular file";
  if (!config::is_ours_or_roots(status)) return "it belongs to another user";
  return status.st_nlink > 1 ? "it has a second name" : "";
}

bool same_file(int file, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return fstat(file, &ours) == 0 && lstat(path.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

std::string holder_in(int file) {
  char text[32] = {};
  const ssize_t length = pread(file, text, sizeof text - 1, 0);
  const std::string_view digits(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  return std::string(digits.substr(0, digits.find_first_not_of("0123456789")));
}

// Creates a file under its own name, locked and filled.
sys::Result<sys::Fd> make(const std::string& path) {
  ::unlink(path.c_str());  // left over from a start with the same pid that was killed at this point
  sys::Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) return sys::Error{"create pid file", path, errno};
  const std::string text = fmt::format("{}\n", getpid());
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0 ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fsync(file.get()) != 0) {
    const sys::Error error{"write pid file", path, errno};
    ::unlink(path.c_str());
    return error;
  }
  return file;
}

}  // namespace

PidFile::~PidFile() {
  if (file_ && owner_ == getpid() && same_file(file_.get(), path_)) ::unlink(path_.c_str());
}

PidFile PidFile::resume(const std::string& path, sys::Fd file) {
  PidFile out;
  out.path_ = path;
  out.file_ = std::move(file);
  out.owner_ = getpid();
  return out;
}

sys::Result<PidFile> PidFile::take(const std::string& path) {
  if (auto error = config::why_not_for_pid_file(std::filesystem::path(path).parent_path())) return std::move(*error);
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  for (;;) {
    sys::Fd old(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!old && errno != ENOENT) {
      return sys::Error{"open pid file", path, errno == ELOOP || errno == EISDIR || errno == ENXIO ? EPERM : errno};
    }
    if (old) {
      struct stat status {};
      if (fstat(old.get(), &status) != 0) return sys::Error{"fstat", path, errno};
      if (const std::string why = untrusted_file(status); !why.empty()) {
        return sys::Error{"pid file", fmt::format("{} ({})", path, why), EPERM};
      }
      if (flock(old.get(), LOCK_EX | LOCK_NB) != 0) {
        return sys::Error{"lock pid file", fmt::format("{} (pid {})", path, holder_in(old.get())), errno};
      }
      if (!same_file(old.get(), path)) continue;  // the owner was faster: check again
    }
    auto made = make(temporary);
    if (!made) return made.error();
    const bool placed =
        old ? std::rename(temporary.c_str(), path.c_str()) == 0 : link(temporary.c_str(), path.c_str()) == 0;
    const int failure = errno;
    if (!placed || !old) ::unlink(temporary.c_str());
    if (!placed && failure == EEXIST) continue;
    if (!placed) return sys::Error{"place pid file", path, failure};
    PidFile out;
    out.path_ = path;
    out.file_ = std::move(*made);
    out.owner_ = getpid();
    return out;
  }
}

}  // namespace bulkhead::host
