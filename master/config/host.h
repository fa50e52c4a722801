// The facts of the system that a configuration needs: the daemon's user, the user database, the number of CPUs, the
// files that a pattern matches. It is an interface, so that tests can decide the answers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/config/json_reader.h"

namespace bulkhead::config {

struct Account {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;  // the primary group
  std::string home{};
  std::string shell{};  // empty: /bin/sh (passwd(5))
};

struct Matches {
  std::vector<std::string> files;  // sorted by bytes
  int error = 0;                   // errno if a directory could not be read, else 0
};

struct FileText {
  std::string text;
  std::string problem;  // why the file could not be read, or empty
};

// How many processes may exist at a time.
struct ProcessLimit {
  std::uint32_t most = 0;  // 0: no limit
  std::string name;        // for messages: "RLIMIT_NPROC"
  std::string raised_by;   // "ulimit -u, or …"
};

// What is looked at before a start.
enum class Foreseen : std::uint8_t { children, addresses, log, pid_file, control_socket };

// What the command line says instead of the file.
struct Overridden {
  bool pid_file = false;
  bool control_socket = false;
};

// The present limits of the system.
struct Capacity {
  std::uint32_t cpus = 1;  // that this process can use, at least 1
  ProcessLimit of_root;    // for the processes of root
  ProcessLimit of_others;  // for the processes of any other user
};

class Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  [[nodiscard]] virtual long landlock_version() const { return ~0UL >> 1; }  // of its ABI; 0: none
  // Why a program cannot have these for itself (sandbox::Policy::spaces); empty: it can.
  [[nodiscard]] virtual std::string private_problem(std::uint32_t /*spaces*/) const { return {}; }
  [[nodiscard]] virtual std::uint32_t user_id() const = 0;   // effective
  [[nodiscard]] virtual std::uint32_t group_id() const = 0;  // effective
  [[nodiscard]] virtual std::optional<Account> user(const std::string& name) const = 0;
  [[nodiscard]] virtual std::optional<Account> user(std::uint32_t uid) const = 0;
  [[nodiscard]] virtual std::optional<std::uint32_t> group(const std::string& name) const = 0;
  [[nodiscard]] virtual std::vector<std::uint32_t> groups(const Account& account, std::uint32_t gid) const = 0;
  [[nodiscard]] virtual Capacity capacity() const = 0;
  [[nodiscard]] virtual std::uint64_t hard_limit(int resource) const = 0;                     // getrlimit(2)
  [[nodiscard]] virtual std::uint64_t most_descriptors() const { return ~std::uint64_t{0}; }  // fs.nr_open of proc(5)
  [[nodiscard]] virtual std::string control_socket() const = 0;                               // the default path
  [[nodiscard]] virtual std::string search_path() const = 0;                                  // PATH
  [[nodiscard]] virtual std::optional<std::string> variable(const std::string& name) const = 0;  // getenv(3)
  [[nodiscard]] virtual Matches matching_files(const std::string& pattern) const = 0;
  // Whether this is looked at as a start would meet it (foresight.h).
  // The user of the daemon whose start is foreseen.
  [[nodiscard]] virtual std::uint32_t daemon_id() const { return user_id(); }
  [[nodiscard]] virtual bool foresees(Foreseen /*what*/) const { return false; }
  [[nodiscard]] virtual bool has_capability(int /*capability*/) const { return true; }  // capabilities(7)
  // Why bind(2) refuses an address of this system's network: EADDRNOTAVAIL, EACCES, EAFNOSUPPORT or ENODEV; else 0.
  [[nodiscard]] virtual int bind_error(const ListenAddress& /*address*/, bool /*freebind*/) const { return 0; }
  // What gives numbers of users and groups to others. Nothing, where a configuration that is in effect is read again.
  [[nodiscard]] virtual UsersAndGroups users_and_groups() const { return {}; }
  // The variables of the files that `env_file` names are known from before, so problems of these files do not matter.
  [[nodiscard]] virtual bool knows_env_files() const { return false; }
  [[nodiscard]] virtual std::size_t largest_text() const { return kMaxFileSize; }  // bytes of a configuration
};

// The real system: user database, scheduler affinity, cgroups, environment, file system.
[[nodiscard]] const Host& this_host();

// The real system, for a daemon with this command line.
struct Daemon {
  bool starts = false;  // right now: it finds out itself what is in the way of its sockets, its log and its pid file
  Overridden overridden{};
  // Whose daemon it will be. For root, nothing is foreseen that this process, as another user, cannot see for itself.
  enum class Owner : std::uint8_t {
    self,
    root,      // root may start it, or this user: keys are read as this user's daemon would read them
    only_root  // some keys are only for root, so all are read as root's daemon would read them
  };
  Owner owner = Owner::self;
};
[[nodiscard]] std::unique_ptr<Host> host_of(const Daemon& daemon);

// The same, but without any limits: for a configuration that is already in effect, which with its defaults and included
// files is larger than any file may be.
[[nodiscard]] const Host& patient_host();

// Reads a regular file of at most 1 MiB, as root one that nobody else may write to or replace (trust.h). Never waits
// for a FIFO or a device.
[[nodiscard]] FileText read_file(const std::string& path);

// config::parse with the given Host.
[[nodiscard]] Loaded parse(std::string_view text, const std::string& file, const std::string& directory,
                           const Host& host);

}  // namespace bulkhead::config
