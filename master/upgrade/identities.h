// What a configuration has from elsewhere, as it was when it was read: users and groups as numbers, and the variables
// of files. They are handed over, because a program that takes over may find others: what runs was started with these,
// and a reload compares with them.
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

struct VariableHandover {
  std::string name;
  std::string value;
};
struct VariablesHandover {
  std::string path;
  std::vector<VariableHandover> variables;
};

// Adds those of `node`, which is at `path`, and of everything below it.
void add_identities(const config::Node& node, const std::string& path, std::vector<IdentityHandover>& to);
// The other way round; nodes that are not in `from` stay as they are.
void put_identities(config::Node& node, const std::string& path, const std::vector<IdentityHandover>& from);
// The same for the variables. Nodes that are not in `from` have none.
void add_variables(const config::Node& node, const std::string& path, std::vector<VariablesHandover>& to);
void put_variables(config::Node& node, const std::string& path, const std::vector<VariablesHandover>& from);

}  // namespace bulkhead::upgrade
