// The credentials of a child: read by the master at each start, and given to this child alone, as files in a directory
// that only its user can read. They are below the directory of the default control socket, which a system keeps in
// memory.
//
//   /run/bulkhead/credentials/PID/root@web/NAME    PID is the master's; "@" stands for "/" in the path of the node
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "master/config/config.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

inline constexpr std::size_t kMaxCredential = 1 << 20;  // as systemd's

// Where the credentials of the node at `path` are; empty: it has none.
[[nodiscard]] std::string credentials_directory(const std::string& path, const config::ChildKeys& keys);

// The keys, for a child that has its credentials: named in its environment, and readable where the sandbox restricts
// files.
[[nodiscard]] config::ChildKeys with_credentials(const std::string& path, config::ChildKeys keys);

// Reads them anew and replaces each file as a whole, because other workers of a listener may be reading. The error
// names the key and the file. Blocks as long as reading the files does.
[[nodiscard]] std::optional<sys::Error> give_credentials(const std::string& path, const config::ChildKeys& keys);
// The child's directories, then its credentials.
[[nodiscard]] std::optional<sys::Error> provide(const std::string& path, const config::ChildKeys& keys);
// The child has ended for good.
void take_credentials(const std::string& path, const config::ChildKeys& keys) noexcept;

// The same, and its runtime directories.
void take_back(const std::string& path, const config::ChildKeys& keys) noexcept;

}  // namespace bulkhead::process
