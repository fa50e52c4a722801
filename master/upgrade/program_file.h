// The file of the running program, which an upgrade executes.
#pragma once

#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

// The path from which the running program was started; empty if the system does not know it.
[[nodiscard]] std::string own_program_path();
// The running program itself, even if its file has been replaced or removed.
[[nodiscard]] sys::Result<sys::Fd> open_own_program();

// Opens the file at `path`, only to be executed (O_PATH). An error in words, or the system's, unless it is an
// executable regular file, not a link, and neither it nor any directory above it is writable for users other than root
// and the daemon's, except directories with the sticky bit.
[[nodiscard]] sys::Result<sys::Fd> open_program(const std::string& path);

}  // namespace bulkhead::upgrade
