// Whether a user may use a file, by the rules of path_resolution(7). Pure: it reads nothing.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::config {

struct Who {
  std::string name;  // for messages
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups{};
};

struct FileFacts {
  mode_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool has_acl = false;  // an access control list, of which only the mask is known: it is in the group's bits
};

enum class Access : std::uint8_t { execute = 1, write = 2, read = 4 };  // execute a file, or search a directory

// Root may read and write everything, search each directory, and execute what anybody may execute. With an access
// control list the answer is yes where the list could grant it.
[[nodiscard]] bool may(const Who& who, const FileFacts& file, Access access);

}  // namespace bulkhead::config
