// Whether a user would reach a file, and may use it: what a start would find, said before it.
#pragma once

#include <string>

#include "master/config/permission.h"
#include "worker/sys/fd.h"

namespace bulkhead::config {

struct Reached {
  std::string problem;  // why not, as the end of a sentence; empty: it can be used, or this process cannot tell
  sys::Fd file;         // opened with O_PATH; empty if there is a problem, or this process cannot tell
};

// Follows `path` (absolute, inside `root`; empty: no other root directory) as a process of `who` would. A process of
// another user may see less than `who` would; what it does not see is no problem.
[[nodiscard]] Reached reach(const std::string& path, const std::string& root, const Who& who, Access access);

// Why `who` cannot have a file at `path` to append to, or empty: it exists, is no directory and may be written to, or
// can be created.
[[nodiscard]] std::string why_not_appendable(const std::string& path, const Who& who);

// Why `who` cannot create or replace names in the directory of `path`, or empty.
[[nodiscard]] std::string why_not_creatable(const std::string& path, const Who& who);

}  // namespace bulkhead::config
