#include "worker/confine/walls.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "worker/confine/confine.h"
#include "worker/confine/landlock.h"

namespace bulkhead::confine {

namespace {

// linux/landlock.h of Debian 12 is older than some of these.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kPathBeneath = 1;
constexpr long kPort = 2;
constexpr std::uint64_t kBind = 1;
constexpr std::uint64_t kConnect = 2;
constexpr std::uint64_t kAbstractSockets = 1;
constexpr std::uint64_t kSignals = 2;
struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

struct Port {
  std::uint64_t allowed = 0;
  std::uint64_t number = 0;
};

constexpr std::uint64_t bit(unsigned number) {
  return std::uint64_t{1} << number;
}
constexpr std::uint64_t kExecute = bit(0);
constexpr std::uint64_t kWriteFile = bit(1);
constexpr std::uint64_t kReadFile = bit(2);
constexpr std::uint64_t kReadDirectory = bit(3);
constexpr std::uint64_t kRefer = bit(13);
constexpr std::uint64_t kTruncate = bit(14);
constexpr std::uint64_t kIoctlDevice = bit(15);
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;

// All rights that a kernel of this version knows.
constexpr std::uint64_t all_of(long version) {
  constexpr std::uint64_t kFirst = bit(13) - 1;
  return kFirst | (version >= kLandlockRefer ? kRefer : 0) | (version >= kLandlockTruncate ? kTruncate : 0) |
         (version >= kLandlockIoctl ? kIoctlDevice : 0);
}

// Without these hardly any program works.
constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", nullptr};

constexpr int kAboveTheChilds = 10;

void allow(int rules, const char* path, std::uint64_t rights) noexcept {
  const sys::Fd file(open(path, O_PATH | O_CLOEXEC));
  struct stat facts {};
  if (!file || fstat(file.get(), &facts) != 0) return;
  const PathBeneath rule{S_ISDIR(facts.st_mode) ? rights : rights & kOfFiles, file.get()};
  (void)sys::raw(kAddRule, rules, kPathBeneath, sys::raw_pointer(&rule), 0);
}

void allow_each(int rules, const char* const* paths, std::uint64_t rights) noexcept {
  for (; paths != nullptr && *paths != nullptr; ++paths) allow(rules, *paths, rights);
}

void allow_files(int rules, const Files& files, std::uint64_t known) noexcept {
  constexpr std::uint64_t kRead = kReadFile | kReadDirectory;
  if (files.others_readable) allow(rules, "/", kRead);
  allow_each(rules, files.read, kRead);
  allow_each(rules, files.execute, kRead | kExecute);
  allow_each(rules, files.write, known & ~kExecute);
  constexpr const char* kTemporary[] = {"/tmp", "/var/tmp", nullptr};
  if ((files.own & ipc::kPrivateTmp) != 0) allow_each(rules, kTemporary, known & ~kExecute);
  if ((files.own & ipc::kPrivatePids) != 0) allow(rules, "/proc", kRead);
  if ((files.own & ipc::kPrivateDevices) != 0) {
    allow(rules, "/dev", kRead);
    allow(rules, "/dev/shm", known & ~kExecute);
  }
  allow_each(rules, kDevices, known & (kReadFile | kWriteFile | kIoctlDevice));
}

void allow_ports(int rules, std::span<const std::uint16_t> ports, std::uint64_t right) noexcept {
  for (const std::uint16_t number : ports) {
    const Port rule{right, number};
    (void)sys::raw(kAddRule, rules, kPort, sys::raw_pointer(&rule), 0);
  }
}

// A layer that handles no files forbids renames between directories as soon as another layer handles some, which a
// program may add itself. So ours handles them and allows them everywhere. Where it handles any, nothing can be
// mounted.
RulesetAttributes attributes_of(const ipc::Confinement& wanted, bool scoped, bool reach, long version) noexcept {
  RulesetAttributes out;
  out.scoped = scoped && version >= kLandlockScopes ? kAbstractSockets | kSignals : 0;
  if (reach && wanted.restricts_ports != 0 && version >= kLandlockPorts) out.network = kBind | kConnect;
  if (reach && wanted.restricts_files != 0) out.files = all_of(version);
  const bool builds = out.scoped != 0 || out.network != 0;
  if (out.files == 0 && builds && wanted.mounts_nothing != 0 && version >= kLandlockRefer) out.files = kRefer;
  return out;
}

}  // namespace

sys::Fd prepare_walls(const ipc::Confinement& wanted, bool scoped, const Reach* reach) noexcept {
  if (wanted.no_new_privileges == 0) return {};
  const long version = landlock_version();
  if (version < kLandlockFiles) return {};
  const RulesetAttributes attributes = attributes_of(wanted, scoped, reach != nullptr, version);
  if (attributes.files == 0 && attributes.network == 0 && attributes.scoped == 0) return {};
  // A kernel that knows less accepts the size, because what it does not know is zero.
  const sys::Fd rules(static_cast<int>(sys::raw(kCreateRuleset, sys::raw_pointer(&attributes), sizeof attributes, 0)));
  if (!rules) return {};
  if ((attributes.files & kRefer) != 0) allow(rules.get(), "/", kRefer);
  if ((attributes.files & kReadFile) != 0) allow_files(rules.get(), reach->files, attributes.files);
  if (attributes.network != 0) {
    allow_ports(rules.get(), reach->ports.connect, kConnect);
    allow_ports(rules.get(), reach->ports.bind, kBind);
  }
  return sys::Fd(fcntl(rules.get(), F_DUPFD_CLOEXEC, kAboveTheChilds));
}

void keep_filter(std::span<const sock_filter> code, Limits& limits) noexcept {
  static sock_filter kept[BPF_MAXINSNS];
  limits.filter = kept;
  limits.filter_size = static_cast<std::uint32_t>(std::min<std::size_t>(code.size(), BPF_MAXINSNS));
  std::copy_n(code.begin(), limits.filter_size, kept);
}

}  // namespace bulkhead::confine
