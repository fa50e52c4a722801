// Whether the shared libraries are there that a program or a library names itself. Those that its libraries need are
// not looked at. The dynamic loader has more ways to find one (variants for a processor, preloaded libraries), so what
// is missing here is a reason for a warning only.
#pragma once

#include <string>

#include "master/config/program_kind.h"
#include "master/config/runnable.h"
#include "worker/sys/fd.h"

namespace bulkhead::config {

// Whether this is the dynamic loader of glibc where the system has it. A loader elsewhere has other directories.
// `file`: the same, opened with O_PATH; empty: only the path decides.
[[nodiscard]] bool is_of_glibc(const std::string& loader, const sys::Fd& file);

// The directory of a program for $ORIGIN, inside `root`; empty if not known. `program` was opened with O_PATH.
[[nodiscard]] std::string origin_of(const sys::Fd& program, const std::string& root);

// Which libraries a program of the kind `elf` may not find, as the end of a sentence that begins with its name; empty:
// none, or this process cannot tell.
[[nodiscard]] std::string missing_libraries(const sys::Fd& program, const Elf& elf, const std::string& origin,
                                            const Runner& runner);

}  // namespace bulkhead::config
