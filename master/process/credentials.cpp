#include "master/process/credentials.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

#include "master/config/default_socket.h"
#include "master/process/directories.h"
#include "worker/sys/fd.h"

namespace bulkhead::process {
namespace {

using Credential = config::Belongings::Credential;

constexpr const char* kNew = ".new";  // no credential has this name
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string name_of(const std::string& path) {
  std::string out = path;
  std::ranges::replace(out, '/', '@');
  return out;
}

std::string runtime_directory() {
  const std::string socket = config::default_control_socket();
  return socket.substr(0, socket.rfind('/'));
}

std::string all_credentials() {
  return runtime_directory() + "/credentials";
}

// One of our own, which others may pass through. Nothing: errno says why not; another user's is EPERM.
sys::Fd own_directory(int parent, const std::string& name, mode_t mode) {
  if (::mkdirat(parent, name.c_str(), mode) == 0) (void)::fchmodat(parent, name.c_str(), mode, 0);
  sys::Fd out(::openat(parent, name.c_str(), kDirectory));
  struct stat status {};
  if (!out || fstat(out.get(), &status) != 0) return {};
  if (status.st_uid == geteuid()) return out;
  errno = EPERM;
  return {};
}

// Directories of masters that were killed.
void remove_stale(int all) {
  const int copy = ::openat(all, ".", kDirectory);
  DIR* const entries = copy < 0 ? nullptr : ::fdopendir(copy);
  if (entries == nullptr) return;
  for (const dirent* entry = ::readdir(entries); entry != nullptr; entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), pid);
    const bool is_pid = read.ec == std::errc() && read.ptr == name.data() + name.size() && pid > 0;
    if (is_pid && ::kill(pid, 0) != 0 && errno == ESRCH) remove_tree(all, entry->d_name);
  }
  ::closedir(entries);
}

// The directory of this master.
sys::Fd open_own() {
  const std::string runtime = runtime_directory();
  sys::Fd at = own_directory(AT_FDCWD, runtime, 0755);
  if (at) at = own_directory(at.get(), "credentials", 0711);
  const std::string own = std::to_string(getpid());
  if (!at) return {};
  if (::faccessat(at.get(), own.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) remove_stale(at.get());
  return own_directory(at.get(), own, 0711);
}

sys::Error failed(const char* call, const Credential& one) {
  return {call, fmt::format("credentials.{}, {}", one.name, one.path), errno};
}

class Secret {
 public:
  Secret() = default;
  ~Secret() { ::explicit_bzero(bytes_.data(), bytes_.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  // False: errno says why not. Only a plain file is read, because another could block.
  [[nodiscard]] bool read(const std::string& path) {
    const sys::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0) return false;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    if (!S_ISREG(status.st_mode)) return false;
    for (ssize_t got = 1; got > 0 && size_ < bytes_.size();) {
      got = ::read(file.get(), bytes_.data() + size_, bytes_.size() - size_);
      if (got < 0) return false;
      size_ += static_cast<std::size_t>(got);
    }
    errno = EFBIG;
    return size_ <= kMaxCredential;
  }
  [[nodiscard]] bool write(int file) const {
    for (std::size_t done = 0; done < size_;) {
      const ssize_t written = ::write(file, bytes_.data() + done, size_ - done);
      if (written <= 0) return false;
      done += static_cast<std::size_t>(written);
    }
    return true;
  }

 private:
  std::vector<char> bytes_ = std::vector<char>(kMaxCredential + 1);
  std::size_t size_ = 0;
};

bool give_away(int fd, const config::ChildKeys& keys, mode_t mode) {
  const bool other = keys.identity && geteuid() == 0;
  return (!other || ::fchown(fd, keys.identity->uid, keys.identity->gid) == 0) && ::fchmod(fd, mode) == 0;
}

std::optional<sys::Error> give(int directory, const Credential& one, const config::ChildKeys& keys) {
  Secret secret;
  if (!secret.read(one.path)) return failed("read", one);
  (void)::unlinkat(directory, kNew, 0);
  const sys::Fd file(::openat(directory, kNew, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!file || !secret.write(file.get()) || !give_away(file.get(), keys, 0400)) return failed("pass on", one);
  if (::renameat(directory, kNew, directory, one.name.c_str()) != 0) return failed("pass on", one);
  return std::nullopt;
}

// A credential that the configuration no longer has, or that is there because its owner has put it there.
void remove_others(int directory, const std::vector<Credential>& credentials) {
  const int copy = ::openat(directory, ".", kDirectory);
  DIR* const entries = copy < 0 ? nullptr : ::fdopendir(copy);
  if (entries == nullptr) return;
  for (const dirent* entry = ::readdir(entries); entry != nullptr; entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." ||
        std::ranges::any_of(credentials, [&](const Credential& one) { return one.name == name; }))
      continue;
    remove_tree(directory, entry->d_name);
  }
  ::closedir(entries);
}

}  // namespace

std::string credentials_directory(const std::string& path, const config::ChildKeys& keys) {
  if (keys.belongings.credentials.empty()) return "";
  return fmt::format("{}/{}/{}", all_credentials(), getpid(), name_of(path));
}

config::ChildKeys with_credentials(const std::string& path, config::ChildKeys keys) {
  const std::string directory = credentials_directory(path, keys);
  if (directory.empty()) return keys;
  keys.belongings.credentials_at = directory;
  if (keys.sandbox.files.restricted) keys.sandbox.files.read.push_back(directory);
  return keys;
}

std::optional<sys::Error> give_credentials(const std::string& path, const config::ChildKeys& keys) {
  const auto& credentials = keys.belongings.credentials;
  if (credentials.empty()) return std::nullopt;
  const auto failure = [&] { return sys::Error{"make", credentials_directory(path, keys), errno}; };
  const sys::Fd own = open_own();
  if (!own) return failure();
  const std::string name = name_of(path);
  (void)::mkdirat(own.get(), name.c_str(), 0700);
  const sys::Fd directory(::openat(own.get(), name.c_str(), kDirectory));
  if (!directory || ::fchmod(directory.get(), 0700) != 0) return failure();
  remove_others(directory.get(), credentials);
  std::optional<sys::Error> problem;
  for (const Credential& one : credentials) {
    if (!problem) problem = give(directory.get(), one, keys);
  }
  if (!give_away(directory.get(), keys, 0500) && !problem) problem = failure();
  return problem;
}

std::optional<sys::Error> provide(const std::string& path, const config::ChildKeys& keys) {
  auto error = make_directories(keys);
  return error ? error : give_credentials(path, keys);
}

void take_back(const std::string& path, const config::ChildKeys& keys) noexcept {
  remove_runtime_directories(keys);
  take_credentials(path, keys);
}

void take_credentials(const std::string& path, const config::ChildKeys& keys) noexcept {
  if (keys.belongings.credentials.empty()) return;
  const sys::Fd all(::open(all_credentials().c_str(), kDirectory));
  if (!all) return;
  const std::string own = std::to_string(getpid());
  const sys::Fd mine(::openat(all.get(), own.c_str(), kDirectory));
  if (!mine) return;
  remove_tree(mine.get(), name_of(path).c_str());
  (void)::unlinkat(all.get(), own.c_str(), AT_REMOVEDIR);  // unless others are there
}

}  // namespace bulkhead::process
