// Which configuration a program reads by default that was installed below another prefix.
#include "master/config/default_file.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "bulkhead_version.h"

namespace bulkhead::config {
namespace {

namespace fs = std::filesystem;

const std::string kBuiltFor = BULKHEAD_SYSCONFDIR "/bulkhead.json";

TEST_CASE("a program below another prefix reads the configuration installed beside it") {
  std::string name = (fs::temp_directory_path() / "bulkhead.XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  const fs::path prefix = name;
  CHECK(default_config_file(prefix / "sbin/bulkheadd") == kBuiltFor);  // nothing is there
  fs::create_directories(prefix / "etc/bulkhead");
  std::ofstream(prefix / "etc/bulkhead/bulkhead.json") << "{}";
  CHECK(default_config_file(prefix / "sbin/bulkheadd") == (prefix / "etc/bulkhead/bulkhead.json").string());
  CHECK(default_config_file(prefix / "bin/bulkheadd") == kBuiltFor);  // a build directory
  fs::remove_all(prefix);
}

TEST_CASE("a program in its place, or whose place is not known, reads what it was built for") {
  CHECK(default_config_file(BULKHEAD_PREFIX "/sbin/bulkheadd") == kBuiltFor);
  CHECK(default_config_file("") == kBuiltFor);
}

}  // namespace
}  // namespace bulkhead::config
