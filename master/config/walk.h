// Follows a path as the kernel does, one name after another, so that each directory and link on the way can be judged.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::config {

struct Step {
  const std::string& path;    // from this process's root directory, for messages
  const struct stat& status;  // as of lstat(2)
  int file;                   // opened with O_PATH
  bool last;                  // the end of the path; a link is never the end
};

// An error ends the walk.
using Judge = std::function<std::optional<sys::Error>(const Step&)>;

// Opens what is at `path` (absolute) with O_PATH, symbolic links and their targets followed, so that what has been
// judged is what is used. With a `root` that is not empty, the path is followed as a process with that root directory
// would follow it. Errors: those of open(2), and those of `judge`.
[[nodiscard]] sys::Result<sys::Fd> walk(const std::string& path, const std::string& root, const Judge& judge);

}  // namespace bulkhead::config
