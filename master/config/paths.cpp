#include "master/config/paths.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "worker/sys/fd.h"

namespace bulkhead::config {
namespace {

// Opens with O_PATH: only the answers of stat() are needed, not the content.
sys::Fd look_up(const std::string& path, const std::string& root) {
  if (root.empty()) return sys::Fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  const sys::Fd directory(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return {};
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  return sys::Fd(static_cast<int>(syscall(SYS_openat2, directory.get(), path.c_str(), &how, sizeof how)));
}

}  // namespace

std::string resolve_path(std::string_view path, const std::string& directory) {
  if (path.starts_with('/')) return std::string(path);
  while (path.starts_with("./")) path.remove_prefix(2);
  std::string out = directory;
  if (!out.ends_with('/')) out += '/';
  return out.append(path);
}

std::string directory_of(const std::string& file) {
  std::error_code error;
  std::filesystem::path directory = std::filesystem::absolute(std::filesystem::path(file).parent_path(), error);
  if (std::filesystem::path(file).parent_path().empty()) directory = std::filesystem::current_path(error);
  // "a/../b" is not "b" when a is a symbolic link, so only single dots are removed.
  std::filesystem::path out;
  for (const auto& part : directory) {
    if (part != "." && !part.empty()) out /= part;
  }
  return out.string();
}

std::string why_not_executable(const std::string& path, const std::string& root) {
  const sys::Fd file = look_up(path, root);
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0) return errno_text(errno);
  if (!S_ISREG(status.st_mode)) return "not a regular file";
  if (faccessat(file.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) return errno_text(errno);
  return "";
}

std::string why_not_loadable(const std::string& path, bool as_root) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno_text(errno);
  if (!S_ISREG(status.st_mode)) return "not a regular file";
  if (faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) return errno_text(errno);
  if ((status.st_mode & S_IWOTH) != 0) return "all users may write to it";
  if (as_root && (status.st_mode & S_IWGRP) != 0) return "its group may write to it";
  return "";
}

std::string stamp_of_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return "";
  return fmt::format("{}:{}:{}:{}.{:09}", status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec);
}

std::string why_not_directory(const std::string& path, const std::string& root) {
  const sys::Fd file = look_up(path, root);
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0) return errno_text(errno);
  return S_ISDIR(status.st_mode) ? "" : errno_text(ENOTDIR);
}

std::string find_program(std::string_view name, std::string_view search_path) {
  while (!name.empty() && !search_path.empty()) {
    const std::size_t colon = std::min(search_path.find(':'), search_path.size());
    const std::string_view directory = search_path.substr(0, colon);
    search_path.remove_prefix(std::min(colon + 1, search_path.size()));
    if (!directory.starts_with('/')) continue;
    std::string candidate = resolve_path(name, std::string(directory));
    if (why_not_executable(candidate, "").empty()) return candidate;
  }
  return "";
}

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace bulkhead::config
