#include "master/config/host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

#include "master/config/cpus.h"
#include "master/config/default_socket.h"
#include "master/config/json_reader.h"
#include "master/config/local_address.h"
#include "master/config/paths.h"
#include "master/config/process_limit.h"
#include "master/config/trust.h"
#include "worker/confine/landlock.h"
#include "worker/confine/spaces.h"

namespace bulkhead::config {
namespace {

std::optional<Account> account_from(const passwd* entry) {
  if (entry == nullptr) return std::nullopt;
  return Account{entry->pw_name, entry->pw_uid, entry->pw_gid, entry->pw_dir, entry->pw_shell};
}

bool has_own_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return true;
  return (data[capability / 32].effective >> capability % 32 & 1U) != 0;
}

std::uint64_t number_in(const char* file, std::uint64_t otherwise) {
  std::uint64_t out = otherwise;
  return std::ifstream(file) >> out ? out : otherwise;
}

std::string text_in(const char* file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class ThisHost : public Host {
 public:
  bool foresees(Foreseen /*what*/) const override { return true; }
  bool has_capability(int capability) const override { return has_own_capability(capability); }
  std::uint64_t most_descriptors() const override { return number_in("/proc/sys/fs/nr_open", kUnlimited); }
  int bind_error(const ListenAddress& address, bool freebind) const override {
    const std::uint64_t first = number_in("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024);
    if (address.port != 0 && address.port < first && !has_capability(CAP_NET_BIND_SERVICE)) return EACCES;
    return why_not_local(address, freebind);
  }
  UsersAndGroups users_and_groups() const override {
    return {{text_in("/etc/passwd"), text_in("/etc/subuid"), text_in("/proc/self/uid_map")},
            {text_in("/etc/group"), text_in("/etc/subgid"), text_in("/proc/self/gid_map")}};
  }
  long landlock_version() const override { return confine::landlock_version(); }
  std::string private_problem(std::uint32_t spaces) const override {
    const ipc::Failure failure = confine::try_spaces(spaces);
    return failure ? fmt::format("{} failed: {}", ipc::stage_text(failure.stage), strerrordesc_np(failure.error)) : "";
  }
  std::uint32_t user_id() const override { return geteuid(); }
  std::uint32_t group_id() const override { return getegid(); }
  // The master has one thread, so the static buffers of libc are safe.
  std::optional<Account> user(const std::string& name) const override { return account_from(getpwnam(name.c_str())); }
  std::optional<Account> user(std::uint32_t uid) const override { return account_from(getpwuid(uid)); }

  std::optional<std::uint32_t> group(const std::string& name) const override {
    const struct group* entry = getgrnam(name.c_str());
    return entry == nullptr ? std::nullopt : std::optional<std::uint32_t>(entry->gr_gid);
  }

  std::vector<std::uint32_t> groups(const Account& account, std::uint32_t gid) const override {
    std::vector<gid_t> ids(64);
    auto count = static_cast<int>(ids.size());
    // On -1 `count` is the number needed; the database may grow between two calls.
    while (getgrouplist(account.name.c_str(), gid, ids.data(), &count) < 0) {
      ids.resize(std::max(static_cast<std::size_t>(count), 2 * ids.size()));
      count = static_cast<int>(ids.size());
    }
    ids.resize(static_cast<std::size_t>(count));
    return ids;
  }

  Capacity capacity() const override {
    const std::string cgroups = cgroup_membership();
    return {usable_cpus(cgroups), process_limit(ProcessOwner::root, cgroups),
            process_limit(ProcessOwner::other, cgroups)};
  }
  std::uint64_t hard_limit(int resource) const override {
    rlimit limit{};
    return getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? limit.rlim_max : kUnlimited;
  }
  std::string control_socket() const override { return default_control_socket(); }

  std::string search_path() const override {
    const char* path = std::getenv("PATH");
    return path == nullptr ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" : path;
  }

  std::optional<std::string> variable(const std::string& name) const override {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }

  Matches matching_files(const std::string& pattern) const override {
    glob_t found{};
    const int result = glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
    Matches out;
    if (result == 0) out.files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    if (result == GLOB_ABORTED) out.error = errno == 0 ? EIO : errno;
    if (result == GLOB_NOSPACE) out.error = ENOMEM;
    globfree(&found);
    std::sort(out.files.begin(), out.files.end());
    return out;
  }
};

class HostOfDaemon final : public ThisHost {
 public:
  explicit HostOfDaemon(Daemon daemon) : daemon_(daemon) {}
  std::uint32_t user_id() const override { return read_as_root() ? 0 : ThisHost::user_id(); }
  std::uint32_t group_id() const override { return read_as_root() ? 0 : ThisHost::group_id(); }
  std::string private_problem(std::uint32_t spaces) const override {
    return is_roots() && geteuid() != 0 ? "" : ThisHost::private_problem(spaces);
  }
  std::uint32_t daemon_id() const override { return is_roots() ? 0 : ThisHost::user_id(); }
  bool has_capability(int capability) const override { return is_roots() || ThisHost::has_capability(capability); }
  std::uint64_t hard_limit(int resource) const override {
    return read_as_root() ? kUnlimited : ThisHost::hard_limit(resource);
  }
  bool foresees(Foreseen what) const override {
    if (daemon_.starts) return what == Foreseen::children;
    if (what == Foreseen::pid_file) return !daemon_.overridden.pid_file;
    return what != Foreseen::control_socket || !daemon_.overridden.control_socket;
  }

 private:
  bool is_roots() const { return daemon_.owner != Daemon::Owner::self; }
  bool read_as_root() const { return daemon_.owner == Daemon::Owner::only_root; }
  Daemon daemon_;
};

class PatientHost final : public ThisHost {
 public:
  bool foresees(Foreseen /*what*/) const override { return false; }
  bool has_capability(int /*capability*/) const override { return true; }
  std::string private_problem(std::uint32_t /*spaces*/) const override { return {}; }
  std::uint64_t most_descriptors() const override { return kUnlimited; }
  Capacity capacity() const override { return {ThisHost::capacity().cpus, {}, {}}; }
  std::uint64_t hard_limit(int /*resource*/) const override { return kUnlimited; }
  UsersAndGroups users_and_groups() const override { return {}; }
  bool knows_env_files() const override { return true; }
  std::size_t largest_text() const override { return std::numeric_limits<std::size_t>::max(); }
};

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

std::string read_all(int fd, std::string& text) {
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return "cannot read: " + errno_text(errno);
    if (got == 0) return "";
    text.append(buffer.data(), static_cast<std::size_t>(got));
    // Checked while reading too: a file may grow after its size was checked.
    if (text.size() > kMaxFileSize) return too_large();
  }
}

std::string read_opened(int fd, std::string& text) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return "cannot read: " + errno_text(errno);
  if (!S_ISREG(status.st_mode)) return fmt::format("expected a regular file, this is {}", kind_of(status.st_mode));
  if (status.st_size > static_cast<off_t>(kMaxFileSize)) return too_large();
  return read_all(fd, text);
}

}  // namespace

const Host& this_host() {
  static const ThisHost host;
  return host;
}

std::unique_ptr<Host> host_of(const Daemon& daemon) {
  return std::make_unique<HostOfDaemon>(daemon);
}

const Host& patient_host() {
  static const PatientHost host;
  return host;
}

FileText read_file(const std::string& path) {
  FileText out;
  if (geteuid() == 0) {
    if (const std::string why = why_not_trusted(path); !why.empty()) {
      out.problem = "not read: " + why;
      return out;
    }
  }
  // O_NONBLOCK: opening a FIFO without a writer would wait for one.
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    out.problem = "cannot open: " + errno_text(errno);
    return out;
  }
  out.problem = read_opened(fd, out.text);
  close(fd);
  return out;
}

}  // namespace bulkhead::config
