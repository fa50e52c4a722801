// Loads a module in a temporary process, to see what its constructors do before they do it to a worker. Threads that a
// library starts do not survive a fork with their locks in order; a signal handler, a changed directory or an open
// descriptor would be every connection's.
#pragma once

#include <chrono>
#include <string>

namespace bulkhead::modules {

// How long loading may take.
inline constexpr std::chrono::milliseconds kLoadLimit(4000);

// Loads `path` in a child of this process, which must be single-threaded and have SIGCHLD blocked; blocks for at most
// kLoadLimit. Returns why the module must not be loaded here, a sentence without its subject: `changed the umask to
// 0000`; empty: it may be loaded. Leaves no process behind, except one that a constructor has detached.
[[nodiscard]] std::string probe_module(const std::string& path);

}  // namespace bulkhead::modules
