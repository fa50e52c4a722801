// Paths of the configuration, and programs. These functions change nothing; they only call stat() and access().
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::config {

inline constexpr const char* kSyslogSocket = "/dev/log";                      // of syslog(3)
inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";  // of systemd's journal

// `path` as an absolute path. A relative one is relative to `directory`, which is absolute.
[[nodiscard]] std::string resolve_path(std::string_view path, const std::string& directory);

// The directory of the file `file`, absolute. Symbolic links are not resolved.
[[nodiscard]] std::string directory_of(const std::string& file);

// Why `path` (absolute) cannot be executed, or empty: it must be a regular file that this process may execute. This
// function and why_not_directory() look it up, symbolic links included, as a process with the root directory `root`
// would; empty: this process's own root directory.
[[nodiscard]] std::string why_not_executable(const std::string& path, const std::string& root);

// Why the library `path` (absolute) must not be loaded, or empty. It must be a regular file that this process may read,
// and other users must not be able to write to it; if `as_root`, its group must not either.
[[nodiscard]] std::string why_not_loadable(const std::string& path, bool as_root);

// Changes when the file is replaced or changed (inode, size and time of change); empty if no file exists.
[[nodiscard]] std::string stamp_of_file(const std::string& path);

// Why `path` is not a directory, or empty.
[[nodiscard]] std::string why_not_directory(const std::string& path, const std::string& root);

// The first executable called `name` in the colon-separated `search_path`; empty if none is found.
[[nodiscard]] std::string find_program(std::string_view name, std::string_view search_path);

// The text of libc for an errno, such as "No such file or directory".
[[nodiscard]] std::string errno_text(int error);

}  // namespace bulkhead::config
