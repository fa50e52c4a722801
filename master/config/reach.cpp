#include "master/config/reach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "master/config/file_head.h"
#include "master/config/json_value.h"
#include "master/config/paths.h"
#include "master/config/trust.h"
#include "master/config/walk.h"

namespace bulkhead::config {

namespace {

FileFacts facts_of(const Step& step) {
  const bool acl = getxattr(by_descriptor(step.file).c_str(), "system.posix_acl_access", nullptr, 0) > 0;
  return {step.status.st_mode, step.status.st_uid, step.status.st_gid, acl};
}

const char* verb_of(Access access, bool directory) {
  switch (access) {
    case Access::execute: return directory ? "enter" : "execute";
    case Access::write: return "write to";
    case Access::read: return "read";
  }
  return "use";
}

// What the permissions do not say: how the file system is mounted.
std::string mounted(const Step& step, Access access) {
  struct statvfs system {};
  if (fstatvfs(step.file, &system) != 0) return "";
  if (access == Access::write && (system.f_flag & ST_RDONLY) != 0) return "its file system is mounted read-only";
  const bool program = access == Access::execute && S_ISREG(step.status.st_mode);
  return program && (system.f_flag & ST_NOEXEC) != 0 ? "its file system is mounted noexec" : "";
}

// The kernel knows best, but answers only for this process itself.
bool is_permitted(const Step& step, const Who& who, Access access) {
  if (who.uid != geteuid()) return may(who, facts_of(step), access);
  const int mode = access == Access::execute ? X_OK : access == Access::write ? W_OK : R_OK;
  return faccessat(step.file, "", mode, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

std::optional<sys::Error> judge(const Step& step, const Who& who, Access access) {
  const bool directory = S_ISDIR(step.status.st_mode);
  // The walk itself ends at a file that is used as a directory.
  if (S_ISLNK(step.status.st_mode) || (!step.last && !directory)) return std::nullopt;
  const Access needed = step.last ? access : Access::execute;
  if (std::string why = step.last ? mounted(step, access) : ""; !why.empty()) return sys::Error{std::move(why), "", 0};
  if (is_permitted(step, who, needed)) return std::nullopt;
  return sys::Error{fmt::format("user {} may not {} {}: {}", who.name, verb_of(needed, directory), step.path,
                                mode_and_owner(step.status)),
                    "", 0};
}

std::string does_not_exist(const std::string& directory) {
  return fmt::format("{} does not exist", in_quotes(directory));
}

// A missing directory is named, because the eye looks for the fault at the end of a path.
std::string words_of(const sys::Error& error, const std::string& path, const std::string& root) {
  if (error.code == 0) return error.operation;
  const std::string whole = root.empty() ? path : root + path;
  const bool elsewhere = error.code == ENOENT && error.subject != whole && error.operation == "open";
  return elsewhere ? does_not_exist(error.subject) : errno_text(error.code);
}

bool is_hidden_from_us(const sys::Error& error, const Who& who) {
  return (error.code == EACCES || error.code == EPERM) && who.uid != geteuid();
}

}  // namespace

Reached reach(const std::string& path, const std::string& root, const Who& who, Access access) {
  auto opened = walk(path, root, [&](const Step& step) { return judge(step, who, access); });
  if (opened) return {"", std::move(*opened)};
  if (is_hidden_from_us(opened.error(), who)) return {};
  return {words_of(opened.error(), path, root), {}};
}

std::string why_not_creatable(const std::string& path, const Who& who) {
  const std::string directory = path.substr(0, path.rfind('/'));
  const Reached reached = reach(directory.empty() ? "/" : directory, "", who, Access::write);
  if (reached.problem == errno_text(ENOENT)) return does_not_exist(directory);
  if (!reached.problem.empty() || !reached.file) return reached.problem;
  return why_not_directory(by_descriptor(reached.file.get()), "");
}

std::string why_not_appendable(const std::string& path, const Who& who) {
  const Reached reached = reach(path, "", who, Access::write);
  struct stat status {};
  if (reached.file && fstat(reached.file.get(), &status) == 0) {
    return S_ISDIR(status.st_mode) ? errno_text(EISDIR) : "";
  }
  if (lstat(path.c_str(), &status) == 0) return reached.problem;
  return errno == ENOENT ? why_not_creatable(path, who) : reached.problem;
}

}  // namespace bulkhead::config
