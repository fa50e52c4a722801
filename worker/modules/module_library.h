// A handler module as a library: a private copy of its file, and what it exports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "bulkhead/handler.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::modules {

// The bytes of the file as they were, in a sealed memfd (memfd_create(2), fcntl(2) F_ADD_SEALS). They cannot be changed
// or truncated while they are mapped: overwriting a library's file with cp(1) is a SIGBUS in every process that uses
// it, because the kernel protects only programs (ETXTBSY).
struct ModuleCopy {
  sys::Fd memfd;
  std::size_t size = 0;
  std::int64_t modified = 0;  // of the file, seconds since the epoch
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(memfd.get()); }
};

// A regular file of at most 1 GiB; one that changes meanwhile is an error (EAGAIN). Never waits for a FIFO or device.
[[nodiscard]] sys::Result<ModuleCopy> copy_module(const char* path);

// The module's structure, with null for members that its version of the header did not have; or the reason for having
// none.
using ModuleOrProblem = std::variant<bulkhead_handler, std::string>;

// dlopen(3) of `path` and the handshake of bulkhead/handler.h. Runs the module's code: its constructors, and
// bulkhead_module(). Never undone: what the module has registered with the C library stays registered.
[[nodiscard]] ModuleOrProblem load_module(const std::string& path);

// The GNU build id of the loaded object that `address` lies in, in hex; empty when it has none.
[[nodiscard]] std::string build_id_of(const void* address);

}  // namespace bulkhead::modules
