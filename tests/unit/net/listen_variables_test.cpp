// sd_listen_fds(3) in detail, and the cases that it leaves open.
#include "master/net/listen_variables.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace bulkhead::net {
namespace {

constexpr int kPid = 812;
using Names = std::vector<std::string>;

struct Row {
  ListenVariables variables;
  Names names;
  const char* remark;
};

TEST_CASE("socket activation variables are read, and invalid ones are ignored with a remark") {
  const Row rows[] = {
      {{nullptr, nullptr, nullptr}, {}, ""},
      {{"812", nullptr, "web"}, {}, ""},
      {{"812", "0", nullptr}, {}, ""},
      {{"812", "0", ""}, {}, ""},
      {{"812", "2", nullptr}, {"unknown", "unknown"}, ""},
      {{"812", "1", "web"}, {"web"}, ""},
      {{"812", "3", "web:app.socket:web"}, {"web", "app.socket", "web"}, ""},
      {{"812", "2", "a b:"}, {"a b", ""}, ""},
      {{"812", "1", ""}, {""}, ""},
      {{"812", "3", "web"}, {"web", "unknown", "unknown"}, "LISTEN_FDNAMES has 1 names for 3 descriptors"},
      {{"812", "1", "web:app"}, {"web"}, "LISTEN_FDNAMES has 2 names for 1 descriptors"},
      {{nullptr, "1", nullptr}, {}, "LISTEN_FDS is set but LISTEN_PID is not: ignored"},
      {{"1", "1", nullptr}, {}, "LISTEN_FDS is for process 1, this is 812: ignored"},
      {{"8120", "1", nullptr}, {}, "LISTEN_FDS is for process 8120, this is 812: ignored"},
      {{"812 ", "1", nullptr}, {}, "LISTEN_FDS is for process 812 , this is 812: ignored"},
      {{"", "1", nullptr}, {}, "LISTEN_FDS is for process , this is 812: ignored"},
      {{"812", "", nullptr}, {}, "LISTEN_FDS is \"\", not a number from 0 to 4096: ignored"},
      {{"812", "-1", nullptr}, {}, "LISTEN_FDS is \"-1\", not a number from 0 to 4096: ignored"},
      {{"812", "+1", nullptr}, {}, "LISTEN_FDS is \"+1\", not a number from 0 to 4096: ignored"},
      {{"812", "1x", nullptr}, {}, "LISTEN_FDS is \"1x\", not a number from 0 to 4096: ignored"},
      {{"812", "4097", nullptr}, {}, "LISTEN_FDS is \"4097\", not a number from 0 to 4096: ignored"},
      {{"812", "99999999999", nullptr}, {}, "LISTEN_FDS is \"99999999999\", not a number from 0 to 4096: ignored"}};
  for (const Row& row : rows) {
    const PassedDescriptors passed = parse_listen_variables(row.variables, kPid);
    INFO(row.remark << " " << row.names.size());
    CHECK(passed.names == row.names);
    CHECK(passed.remark == row.remark);
  }
}

}  // namespace
}  // namespace bulkhead::net
