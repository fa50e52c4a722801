#include "master/upgrade/program_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "master/config/trust.h"

namespace bulkhead::upgrade {

namespace {

constexpr const char* kSelf = "/proc/self/exe";

sys::Error unsafe(const std::string& path, const std::string& what) {
  return {fmt::format("{} is not executed: {}", path, what), "", 0};
}

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
  auto out = config::open_trusted(path);
  if (!out) return out.error().code == 0 ? unsafe(path, out.error().text()) : out.error();
  struct stat status {};
  if (fstat(out->get(), &status) != 0) return sys::Error{"fstat", path, errno};
  if (!S_ISREG(status.st_mode)) return unsafe(path, "it is not a regular file");
  if (faccessat(out->get(), "", X_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) return sys::Error{"execute", path, errno};
  return out;
}

}  // namespace bulkhead::upgrade
