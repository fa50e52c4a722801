// The file of the running program, which an upgrade executes.
#pragma once

#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::upgrade {

// Where the running program was started from, as it was written then, made absolute: symbolic links in it stay,
// so that an upgrade finds what they lead to by then. `argv0` without a slash is looked for in PATH. To be called
// before the directory changes. Where `argv0` does not lead to the running program, the path that the system knows;
// empty when it does not say.
[[nodiscard]] std::string own_program_path(const std::string& argv0);
// The running program itself, even if its file has been replaced or removed.
[[nodiscard]] sys::Result<sys::Fd> open_own_program();

// What is at `path` now, to be executed and for nothing else: config::open_trusted(). An error in words, or the
// system's: it has to be a regular file that may be executed.
[[nodiscard]] sys::Result<sys::Fd> open_program(const std::string& path);

}  // namespace bulkhead::upgrade
