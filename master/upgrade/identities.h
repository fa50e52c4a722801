// The users and groups of a configuration as numbers, as they were looked up when it was read. They are handed over,
// because a program that takes over may find others: what runs was started with these, and a reload compares with them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/config/config.h"

namespace bulkhead::upgrade {

struct IdentityHandover {
  std::string path;
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
};

// Adds those of `node`, which is at `path`, and of everything below it.
void add_identities(const config::Node& node, const std::string& path, std::vector<IdentityHandover>& to);
// The other way round; nodes that are not in `from` stay as they are.
void put_identities(config::Node& node, const std::string& path, const std::vector<IdentityHandover>& from);

}  // namespace bulkhead::upgrade
