#include "master/process/directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "worker/sys/fd.h"

namespace bulkhead::process {
namespace {

using Directory = config::Belongings::Directory;

constexpr mode_t kMode = 0755;
constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

sys::Error failed(const char* call, const Directory& directory) {
  return {call, directory.path(), errno};
}

// The base of a user's daemon may be missing too. It is not below anybody else's directory.
sys::Fd open_base(const std::string& base) {
  for (std::size_t slash = base.find('/', 1); slash != std::string::npos; slash = base.find('/', slash + 1))
    (void)::mkdir(base.substr(0, slash).c_str(), kMode);
  (void)::mkdir(base.c_str(), kMode);
  return sys::Fd(::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Another process may make it at the same time.
sys::Fd enter(int parent, const std::string& name) {
  const bool made = ::mkdirat(parent, name.c_str(), kMode) == 0;
  if (!made && errno != EEXIST) return {};
  sys::Fd out(::openat(parent, name.c_str(), kFlags));
  if (out && made) (void)::fchmod(out.get(), kMode);  // whatever our umask is
  return out;
}

std::optional<sys::Error> make(const Directory& directory, const std::optional<config::Identity>& owner) {
  sys::Fd at = open_base(directory.base);
  if (!at) return failed("open", directory);
  std::string_view rest = directory.name;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    at = enter(at.get(), std::string(rest.substr(0, slash)));
    if (!at) return failed("make directory", directory);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  if (!owner || geteuid() != 0) return std::nullopt;
  struct stat status {};
  if (fstat(at.get(), &status) != 0) return failed("stat", directory);
  const bool is_theirs = status.st_uid == owner->uid && status.st_gid == owner->gid;
  if (!is_theirs && fchown(at.get(), owner->uid, owner->gid) != 0) return failed("chown", directory);
  return std::nullopt;
}

// The last part of the path, and the directory that it is in.
sys::Fd parent_of(const Directory& directory, std::string_view& last) {
  sys::Fd at(::open(directory.base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  last = directory.name;
  for (std::size_t slash = last.find('/'); at && slash != std::string_view::npos; slash = last.find('/')) {
    at.reset(::openat(at.get(), std::string(last.substr(0, slash)).c_str(), kFlags));
    last.remove_prefix(slash + 1);
  }
  return at;
}

struct Removal {
  int files_left = kMostRemoved;
  int levels_left = 64;
};

void remove(int parent, const char* name, Removal& removal);

void remove_contents(int directory, Removal& removal) {
  DIR* const entries = ::fdopendir(directory);  // closes it
  if (entries == nullptr) return (void)::close(directory);
  const int at = ::dirfd(entries);
  for (const dirent* entry = ::readdir(entries); entry != nullptr && removal.files_left > 0;
       entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") remove(at, entry->d_name, removal);
  }
  ::closedir(entries);
}

// A symbolic link is removed, not followed.
void remove(int parent, const char* name, Removal& removal) {
  if (removal.files_left-- <= 0) return;
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT || removal.levels_left == 0) return;
  const int inside = ::openat(parent, name, kFlags);
  if (inside < 0) return;
  --removal.levels_left;
  remove_contents(inside, removal);
  ++removal.levels_left;
  (void)::unlinkat(parent, name, AT_REMOVEDIR);
}

}  // namespace

void remove_tree(int parent, const char* name) noexcept {
  Removal removal;
  remove(parent, name, removal);
}

void remove_runtime_directories(const config::ChildKeys& keys) noexcept {
  for (const Directory& one : keys.belongings.directories) {
    if (one.kind != Directory::Kind::runtime) continue;
    std::string_view last;
    if (const sys::Fd parent = parent_of(one, last)) remove_tree(parent.get(), std::string(last).c_str());
  }
}

std::optional<sys::Error> make_directories(const config::ChildKeys& keys) {
  for (const Directory& one : keys.belongings.directories) {
    if (auto error = make(one, keys.identity)) return error;
  }
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> directory_variables(const config::Belongings& from) {
  static constexpr const char* kNames[] = {"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "LOGS_DIRECTORY"};
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t kind = 0; kind < std::size(kNames); ++kind) {
    std::string paths;
    for (const Directory& one : from.directories) {
      if (static_cast<std::size_t>(one.kind) == kind) paths += (paths.empty() ? "" : ":") + one.path();
    }
    if (!paths.empty()) out.emplace_back(kNames[kind], std::move(paths));
  }
  if (!from.credentials_at.empty()) out.emplace_back("CREDENTIALS_DIRECTORY", from.credentials_at);
  return out;
}

}  // namespace bulkhead::process
