// The directories that the daemon makes for a child (state_directory and the like): made before each start, because
// anything may have removed them, and owned by the user of the child.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "master/config/config.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// Makes those that are missing, with mode 0755, and gives them to the child's user. No symbolic link below the base is
// followed: a child may own a directory in which another one's is to be made. Existing contents stay as they are.
[[nodiscard]] std::optional<sys::Error> make_directories(const config::ChildKeys& keys);

// Removes a file, or a directory with what is in it, as far as that is done in a moment: what is left after
// kMostRemoved files stays. Symbolic links are removed, not followed.
inline constexpr int kMostRemoved = 10'000;
void remove_tree(int parent, const char* name) noexcept;
void remove_runtime_directories(const config::ChildKeys& keys) noexcept;

// STATE_DIRECTORY, RUNTIME_DIRECTORY and LOGS_DIRECTORY, as far as there are such directories, several separated by
// ":"; and CREDENTIALS_DIRECTORY.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> directory_variables(const config::Belongings& from);

}  // namespace bulkhead::process
