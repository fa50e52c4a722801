// The file of our own program, which an upgrade executes.
#pragma once

#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

// Where the running program was started from; empty when the system does not say.
[[nodiscard]] std::string own_program_path();
// The running program itself, whatever has become of its file.
[[nodiscard]] sys::Result<sys::Fd> open_own_program();

// What is at `path` now, to be executed and for nothing else (O_PATH). An error in words, or the system's: it has to be
// a regular file that may be executed, not a link, and neither it nor any directory above it may be writable for
// somebody who is neither root nor we, but for directories with the sticky bit.
[[nodiscard]] sys::Result<sys::Fd> open_program(const std::string& path);

}  // namespace bulkhead::upgrade
