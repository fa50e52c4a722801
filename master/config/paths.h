// Paths of the configuration, and programs. Nothing here changes anything; stat() and access() are asked.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::config {

// `path` as an absolute one: relative paths stand in `directory`, which is absolute.
[[nodiscard]] std::string resolve_path(std::string_view path, const std::string& directory);

// The directory of the file `file`, absolute. Symbolic links are left alone.
[[nodiscard]] std::string directory_of(const std::string& file);

// Why `path` (absolute) cannot be executed, or empty: it must be a regular file that this process may execute. Both
// look as a process would whose root directory is `root`, symbolic links included; empty: our own.
[[nodiscard]] std::string why_not_executable(const std::string& path, const std::string& root);

// Why the library `path` (absolute) should not be loaded, or empty: a regular file that this process may read, and that
// not everybody may write; where we are root, not its group either.
[[nodiscard]] std::string why_not_loadable(const std::string& path, bool as_root);

// Differs once the file has been replaced or changed (inode, size and time of change); empty where there is none.
[[nodiscard]] std::string stamp_of_file(const std::string& path);

// Why `path` is no directory, or empty.
[[nodiscard]] std::string why_not_directory(const std::string& path, const std::string& root);

// The first executable called `name` in the colon-separated `search_path`; empty when there is none.
[[nodiscard]] std::string find_program(std::string_view name, std::string_view search_path);

// What libc says about an errno, such as "No such file or directory".
[[nodiscard]] std::string errno_text(int error);

}  // namespace bulkhead::config
