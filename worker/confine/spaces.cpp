#include "worker/confine/spaces.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "worker/confine/reaper.h"
#include "worker/ipc/peer.h"
#include "worker/sys/fd.h"
#include "worker/sys/raw.h"

namespace bulkhead::confine {

namespace {

using ipc::Failure;
using ipc::Stage;

constexpr const char* kTmpfsOptions = "mode=1777,size=64m,nr_inodes=16k";
constexpr unsigned long kHarmless = MS_NOSUID | MS_NODEV;

// A path inside of a root, cut where it is too long, which no system call accepts either.
class Joined {
 public:
  Joined(const char* root, const char* path) noexcept { add(root), add(path); }
  [[nodiscard]] const char* c_str() const noexcept { return text_; }

 private:
  void add(const char* more) noexcept {
    for (; *more != '\0' && length_ + 1 < sizeof text_; ++more) text_[length_++] = *more;
    text_[length_] = '\0';
  }
  char text_[4200] = "";
  std::size_t length_ = 0;
};

Failure failed(Stage stage = Stage::mounts) noexcept {
  return {stage, errno};
}

struct Device {
  const char* path;
  const char* link;  // for a symbolic link: where it leads
};
constexpr Device kOwnDevices[] = {{"/dev/null", nullptr},
                                  {"/dev/zero", nullptr},
                                  {"/dev/full", nullptr},
                                  {"/dev/random", nullptr},
                                  {"/dev/urandom", nullptr},
                                  {"/dev/fd", "/proc/self/fd"},
                                  {"/dev/stdin", "/proc/self/fd/0"},
                                  {"/dev/stdout", "/proc/self/fd/1"},
                                  {"/dev/stderr", "/proc/self/fd/2"}};
constexpr std::size_t kDeviceCount = sizeof kOwnDevices / sizeof kOwnDevices[0];

Failure make_device(const char* root, const Device& device, int original) noexcept {
  const Joined path(root, device.path);
  if (device.link != nullptr) return symlink(device.link, path.c_str()) == 0 ? Failure{} : failed();
  if (original < 0) return {};
  const sys::Fd place(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  if (!place) return failed();
  char digits[24] = "";
  ipc::decimal_text(static_cast<std::uint32_t>(original), digits);
  const Joined source("/proc/self/fd/", digits);
  return mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0 ? Failure{} : failed();
}

// Nodes cannot be made inside of a user namespace, so the system's are bound.
Failure make_devices(const char* root) noexcept {
  const Joined place(root, "/dev");
  sys::Fd originals[kDeviceCount];
  for (std::size_t i = 0; i < kDeviceCount; ++i) {
    if (kOwnDevices[i].link == nullptr) originals[i] = sys::Fd(open(kOwnDevices[i].path, O_PATH | O_CLOEXEC));
  }
  if (mount("tmpfs", place.c_str(), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") != 0)
    return errno == ENOENT ? Failure{} : failed();
  const mode_t before = umask(0);
  Failure failure;
  for (std::size_t i = 0; i < kDeviceCount && !failure; ++i)
    failure = make_device(root, kOwnDevices[i], originals[i].get());
  if (!failure && mkdir(Joined(root, "/dev/shm").c_str(), 01777) != 0) failure = failed();
  umask(before);
  if (failure) return failure;
  constexpr unsigned long kReadOnly = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC;
  return mount(nullptr, place.c_str(), nullptr, kReadOnly, nullptr) == 0 ? Failure{} : failed();
}

// What is not there need not be hidden.
Failure make_tmp(const char* root, const char* path) noexcept {
  const int result = mount("tmpfs", Joined(root, path).c_str(), "tmpfs", kHarmless, kTmpfsOptions);
  return result == 0 || errno == ENOENT ? Failure{} : failed();
}

Failure make_proc(const char* root) noexcept {
  const int result = mount("proc", Joined(root, "/proc").c_str(), "proc", kHarmless | MS_NOEXEC, nullptr);
  return result == 0 || errno == ENOENT ? Failure{} : failed();
}

bool mounts(std::uint32_t spaces) noexcept {
  return (spaces & ipc::kMountingSpaces) != 0;
}

// Mounts of the system still arrive here, and ours do not leave.
Failure separate_mounts() noexcept {
  return mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 ? Failure{} : failed();
}

bool write_file(const char* path, const char* text, std::size_t length) noexcept {
  const sys::Fd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text, length) == static_cast<ssize_t>(length);
}

// Everybody of our own user namespace, under the same numbers. Lines of "inside outside count".
bool copy_map(const char* own, const char* target) noexcept {
  char text[4096];
  char out[4096];
  std::size_t used = 0;
  const sys::Fd file(open(own, O_RDONLY | O_CLOEXEC));
  const ssize_t got = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (got <= 0) return false;
  text[got] = '\0';
  char* at = text;
  for (;;) {
    char* end = nullptr;
    const auto inside = static_cast<std::uint32_t>(std::strtoul(at, &end, 10));
    if (end == at || used + 40 > sizeof out) break;
    (void)std::strtoul(end, &end, 10);
    const auto count = static_cast<std::uint32_t>(std::strtoul(end, &end, 10));
    for (const std::uint32_t number : {inside, inside, count}) {
      used += ipc::decimal_text(number, out + used);
      out[used++] = ' ';
    }
    out[used - 1] = '\n';
    at = end;
  }
  return write_file(target, out, used);
}

bool map_one(std::uint32_t id, const char* target) noexcept {
  char out[40];
  std::size_t used = ipc::decimal_text(id, out);
  out[used++] = ' ';
  used += ipc::decimal_text(id, out + used);
  std::memcpy(out + used, " 1\n", 3);
  return write_file(target, out, used + 3);
}

// In a process outside of the new namespace, where alone the right to map others can be.
bool write_maps(pid_t target) noexcept {
  char digits[24] = "";
  ipc::decimal_text(static_cast<std::uint32_t>(target), digits);
  const Joined directory("/proc/", digits);
  const Joined users(directory.c_str(), "/uid_map");
  const Joined groups(directory.c_str(), "/gid_map");
  if (geteuid() == 0)
    return copy_map("/proc/self/uid_map", users.c_str()) && copy_map("/proc/self/gid_map", groups.c_str());
  return map_one(geteuid(), users.c_str()) && write_file(Joined(directory.c_str(), "/setgroups").c_str(), "deny", 4) &&
         map_one(getegid(), groups.c_str());
}

[[noreturn]] void map_when_told(int told, pid_t target) noexcept {
  char byte = 0;
  if (read(told, &byte, 1) != 1) _exit(0);
  _exit(write_maps(target) ? 0 : errno);
}

Failure enter_user_namespace(int flags) noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed(Stage::namespaces);
  const sys::Fd told(ends[0]);
  sys::Fd tells(ends[1]);
  const pid_t target = getpid();
  const pid_t helper = _Fork();
  if (helper < 0) return failed(Stage::namespaces);
  if (helper == 0) {
    tells.reset();
    map_when_told(told.get(), target);
  }
  Failure failure;
  if (unshare(CLONE_NEWUSER | flags) != 0 || write(tells.get(), "", 1) != 1) failure = failed(Stage::namespaces);
  tells.reset();
  int status = 0;
  while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {
  }
  if (failure || status == 0) return failure;
  return {Stage::namespaces, WIFEXITED(status) ? WEXITSTATUS(status) : EIO};
}

}  // namespace

std::uint64_t capabilities_for_spaces() noexcept {
  return std::uint64_t{1} << CAP_SYS_ADMIN | std::uint64_t{1} << CAP_SETPCAP;
}

bool may_make_spaces() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct now[2] = {};
  return sys::raw(SYS_capget, sys::raw_pointer(&header), sys::raw_pointer(now)) == 0 &&
         (now[0].effective >> CAP_SYS_ADMIN & 1) != 0;
}

Failure found_spaces(std::uint32_t spaces, const char* root) noexcept {
  if (const Failure failure = enter_user_namespace(mounts(spaces) ? CLONE_NEWNS : 0)) return failure;
  if (!mounts(spaces)) return {};
  if (const Failure failure = separate_mounts()) return failure;
  return (spaces & ipc::kPrivateDevices) != 0 ? make_devices(root) : Failure{};
}

Failure enter_spaces(std::uint32_t spaces, bool founded, const char* root) noexcept {
  int flags = mounts(spaces) ? CLONE_NEWNS : 0;
  if ((spaces & ipc::kPrivateIpc) != 0) flags |= CLONE_NEWIPC;
  if ((spaces & ipc::kPrivateNetwork) != 0) flags |= CLONE_NEWNET;
  if (unshare(flags) != 0) return failed(Stage::namespaces);
  Failure failure;
  if (!founded && mounts(spaces)) failure = separate_mounts();
  if ((spaces & ipc::kPrivateDevices) != 0) {
    if (!failure && !founded) failure = make_devices(root);
    if (!failure) failure = make_tmp(root, "/dev/shm");
  }
  if ((spaces & ipc::kPrivateTmp) != 0) {
    if (!failure) failure = make_tmp(root, "/tmp");
    if (!failure) failure = make_tmp(root, "/var/tmp");
  }
  if (!failure && (spaces & ipc::kPrivatePids) != 0) failure = make_proc(root);
  return failure;
}

Failure give_up_spaces() noexcept {
  constexpr long kNotEvenRoot = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
  if (const long result = sys::raw(SYS_prctl, PR_SET_SECUREBITS, kNotEvenRoot, 0, 0); result < 0)
    return {Stage::privileges, static_cast<int>(-result)};
  return keep_only(0);
}

Failure try_spaces(std::uint32_t spaces) noexcept {
  Failure failure{Stage::namespaces, EIO};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed(Stage::namespaces);
  const sys::Fd from(ends[0]);
  sys::Fd to(ends[1]);
  const pid_t pid = _Fork();
  if (pid < 0) return failed(Stage::namespaces);
  if (pid == 0) {
    (void)signal(SIGCHLD, SIG_DFL);
    failure = found_spaces(spaces, "");
    if (!failure && (spaces & ipc::kPrivatePids) != 0)
      failure = try_pids(spaces);
    else if (!failure)
      failure = enter_spaces(spaces, true, "");
    if (!failure) failure = give_up_spaces();
    (void)!write(to.get(), &failure, sizeof failure);
    _exit(0);
  }
  to.reset();
  while (read(from.get(), &failure, sizeof failure) < 0 && errno == EINTR) {
  }
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return failure;
}

}  // namespace bulkhead::confine
