#include "master/process/credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace bulkhead::process {
namespace {

namespace fs = std::filesystem;
constexpr const char* kNode = "root/credentials_test";

class Source {
 public:
  Source() {
    char name[] = "/tmp/credentials-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Source() { fs::remove_all(path_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  void add(config::ChildKeys& keys, const std::string& name, const std::string& content) const {
    std::ofstream(path_ + "/" + name) << content;
    keys.belongings.credentials.push_back({name, path_ + "/" + name});
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("credentials are given as files, anew at each start, and taken back") {
  const Source source;
  config::ChildKeys keys;
  source.add(keys, "tls.key", "secret\n");
  source.add(keys, "empty", "");
  const std::string at = credentials_directory(kNode, keys);
  CHECK_FALSE(give_credentials(kNode, keys));
  CHECK(content_of(at + "/tls.key") == "secret\n");
  CHECK(content_of(at + "/empty").empty());
  struct stat status {};
  REQUIRE(stat((at + "/tls.key").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0400);
  REQUIRE(stat(at.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0500);

  std::ofstream(source.path() + "/tls.key") << "another";
  keys.belongings.credentials.pop_back();
  CHECK_FALSE(give_credentials(kNode, keys));
  CHECK(content_of(at + "/tls.key") == "another");
  CHECK_FALSE(fs::exists(at + "/empty"));
  take_credentials(kNode, keys);
  CHECK_FALSE(fs::exists(at));
  take_credentials(kNode, keys);
}

TEST_CASE("credentials belong to the user of the child") {
  if (geteuid() != 0) return;
  const Source source;
  config::ChildKeys keys;
  source.add(keys, "key", "x");
  keys.identity = config::Identity{};
  keys.identity->uid = 12345;
  keys.identity->gid = 54321;
  CHECK_FALSE(give_credentials(kNode, keys));
  struct stat status {};
  for (const std::string& path : {credentials_directory(kNode, keys), credentials_directory(kNode, keys) + "/key"}) {
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(status.st_uid == 12345);
    CHECK(status.st_gid == 54321);
  }
  take_credentials(kNode, keys);
}

TEST_CASE("an error names the key and the file") {
  const Source source;
  config::ChildKeys keys;
  const auto text_with = [&](const std::string& path) {
    keys.belongings.credentials = {{"tls.key", path}};
    const auto error = give_credentials(kNode, keys);
    return error ? error->text() : "";
  };
  const std::string missing = source.path() + "/missing";
  CHECK(text_with(missing) == "read credentials.tls.key, " + missing + ": No such file or directory");
  CHECK(text_with(source.path()) == "read credentials.tls.key, " + source.path() + ": Is a directory");
  CHECK(text_with("/dev/null") == "read credentials.tls.key, /dev/null: Invalid argument");
  const std::string large = source.path() + "/large";
  std::ofstream(large) << std::string(kMaxCredential + 1, 'x');
  CHECK(text_with(large) == "read credentials.tls.key, " + large + ": File too large");
  fs::resize_file(large, kMaxCredential);
  CHECK(text_with(large).empty());
  take_credentials(kNode, keys);
}

TEST_CASE("the child cannot make the master write elsewhere") {
  const Source source;
  config::ChildKeys keys;
  source.add(keys, "key", "x");
  CHECK_FALSE(give_credentials(kNode, keys));
  const std::string at = credentials_directory(kNode, keys);
  const std::string victim = source.path() + "/victim";
  std::ofstream(victim) << "kept";
  REQUIRE(chmod(at.c_str(), 0700) == 0);
  fs::create_symlink(victim, at + "/.new");
  fs::remove(at + "/key");
  fs::create_symlink(victim, at + "/key");
  CHECK_FALSE(give_credentials(kNode, keys));
  CHECK(content_of(victim) == "kept");
  CHECK(content_of(at + "/key") == "x");
  take_credentials(kNode, keys);
}

TEST_CASE("the directory is named in the environment, and readable where files are restricted") {
  config::ChildKeys keys;
  CHECK(with_credentials(kNode, keys).belongings.credentials_at.empty());
  keys.sandbox.files.restricted = true;
  keys.belongings.credentials = {{"key", "/etc/key"}};
  const config::ChildKeys out = with_credentials(kNode, keys);
  CHECK(out.belongings.credentials_at.ends_with("/root@credentials_test"));
  CHECK(out.sandbox.files.read.back() == out.belongings.credentials_at);
}

}  // namespace bulkhead::process
