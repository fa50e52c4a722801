#include "master/process/directories.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace bulkhead::process {
namespace {

namespace fs = std::filesystem;
using Kind = config::Belongings::Directory::Kind;

class Base {
 public:
  Base() {
    char name[] = "/tmp/directories-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Base() { fs::remove_all(path_); }
  Base(const Base&) = delete;
  Base& operator=(const Base&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] config::ChildKeys keys(Kind kind, const std::string& name) const {
    config::ChildKeys out;
    out.belongings.directories.push_back({kind, path_, name});
    return out;
  }

 private:
  std::string path_;
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("directories are made with their parents, whatever the umask is, and again without harm") {
  const Base base;
  const auto keys = base.keys(Kind::state, "a/b");
  const mode_t before = umask(077);
  CHECK_FALSE(make_directories(keys));
  umask(before);
  CHECK(mode_of(base.path() + "/a") == 0755);
  CHECK(mode_of(base.path() + "/a/b") == 0755);
  std::ofstream(base.path() + "/a/b/file") << "x";
  CHECK_FALSE(make_directories(keys));
  CHECK(fs::exists(base.path() + "/a/b/file"));
}

TEST_CASE("a base that is missing is made too") {
  const Base base;
  config::ChildKeys keys;
  keys.belongings.directories.push_back({Kind::state, base.path() + "/.local/state", "a"});
  CHECK_FALSE(make_directories(keys));
  CHECK(fs::is_directory(base.path() + "/.local/state/a"));
}

TEST_CASE("no symbolic link is followed, and nothing behind it is given away") {
  const Base base;
  const Base other;
  fs::create_symlink(other.path(), base.path() + "/a");
  for (const char* name : {"a", "a/b"}) {
    const auto error = make_directories(base.keys(Kind::state, name));
    REQUIRE(error);
    CHECK(error->text().find(base.path() + "/" + name) != std::string::npos);
  }
  CHECK(fs::is_empty(other.path()));
}

TEST_CASE("a file in the way is an error") {
  const Base base;
  std::ofstream(base.path() + "/a") << "x";
  CHECK(make_directories(base.keys(Kind::state, "a")));
}

TEST_CASE("directories belong to the user of the child") {
  if (geteuid() != 0) return;
  const Base base;
  auto keys = base.keys(Kind::state, "a/b");
  keys.identity = config::Identity{};
  keys.identity->uid = 12345;
  keys.identity->gid = 54321;
  CHECK_FALSE(make_directories(keys));
  struct stat status {};
  REQUIRE(stat((base.path() + "/a/b").c_str(), &status) == 0);
  CHECK(status.st_uid == 12345);
  CHECK(status.st_gid == 54321);
  REQUIRE(stat((base.path() + "/a").c_str(), &status) == 0);
  CHECK(status.st_uid == 0);
}

TEST_CASE("runtime directories are removed with their contents, the others stay, links are not followed") {
  const Base base;
  const Base other;
  std::ofstream(other.path() + "/kept") << "x";
  auto keys = base.keys(Kind::runtime, "a/b");
  keys.belongings.directories.push_back({Kind::state, base.path(), "state"});
  CHECK_FALSE(make_directories(keys));
  fs::create_directories(base.path() + "/a/b/c/d");
  std::ofstream(base.path() + "/a/b/c/d/file") << "x";
  fs::create_directory_symlink(other.path(), base.path() + "/a/b/link");
  remove_runtime_directories(keys);
  CHECK_FALSE(fs::exists(base.path() + "/a/b"));
  CHECK(fs::exists(base.path() + "/a"));
  CHECK(fs::exists(base.path() + "/state"));
  CHECK(fs::exists(other.path() + "/kept"));
  remove_runtime_directories(keys);
}

TEST_CASE("a runtime directory behind a link is not removed") {
  const Base base;
  const Base other;
  fs::create_directories(other.path() + "/b/c");
  fs::create_symlink(other.path(), base.path() + "/a");
  remove_runtime_directories(base.keys(Kind::runtime, "a/b"));
  CHECK(fs::exists(other.path() + "/b/c"));
}

TEST_CASE("so many files that it takes too long are left") {
  const Base base;
  const auto keys = base.keys(Kind::runtime, "a");
  CHECK_FALSE(make_directories(keys));
  for (int i = 0; i < kMostRemoved + 100; ++i) std::ofstream(base.path() + "/a/" + std::to_string(i));
  remove_runtime_directories(keys);
  CHECK(fs::exists(base.path() + "/a"));
  remove_runtime_directories(keys);
  CHECK_FALSE(fs::exists(base.path() + "/a"));
}

TEST_CASE("variables name the directories of each kind") {
  config::Belongings from;
  CHECK(directory_variables(from).empty());
  from.directories = {{Kind::state, "/var/lib", "a"}, {Kind::logs, "/var/log", "a"}, {Kind::state, "/var/lib", "b/c"}};
  const std::vector<std::pair<std::string, std::string>> expected{{"STATE_DIRECTORY", "/var/lib/a:/var/lib/b/c"},
                                                                  {"LOGS_DIRECTORY", "/var/log/a"}};
  CHECK(directory_variables(from) == expected);
}

}  // namespace bulkhead::process
