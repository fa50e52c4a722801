// Which file an upgrade executes: links on the way are followed, and nobody but root and us may have a hand in it.
#include "master/upgrade/program_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead::upgrade {
namespace {

namespace fs = std::filesystem;

class Directory {
 public:
  Directory() {
    std::string name = (fs::temp_directory_path() / "bulkhead.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
    for (const char* version : {"v1", "v2"}) {
      fs::create_directories(path_ / version / "sbin");
      std::ofstream(path_ / version / "sbin" / "d") << version;
      fs::permissions(path_ / version / "sbin" / "d", fs::perms(0755));
    }
    lead_to("v1");
  }
  ~Directory() { fs::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  void lead_to(const fs::path& target) const {
    fs::remove(path_ / "current");
    fs::create_symlink(target, path_ / "current");
  }
  [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

std::string problem_at(const std::string& path) {
  const auto program = open_program(path);
  return program ? "" : program.error().text();
}

bool is(const std::string& path, const std::string& other) {
  auto program = open_program(path);
  struct stat opened {};
  struct stat wanted {};
  return program && fstat(program->get(), &opened) == 0 && stat(other.c_str(), &wanted) == 0 &&
         opened.st_ino == wanted.st_ino;
}

TEST_CASE("links are followed each time, relative and absolute ones, in the middle and at the end") {
  const Directory directory;
  const std::string path = directory.at("current/sbin/d");
  CHECK(is(path, directory.at("v1/sbin/d")));
  directory.lead_to("v2");
  CHECK(is(path, directory.at("v2/sbin/d")));
  directory.lead_to(directory.at("v1"));
  CHECK(is(path, directory.at("v1/sbin/d")));
  fs::create_symlink("../../v2/./sbin/d", directory.at("v1/sbin/linked"));
  CHECK(is(directory.at("current/sbin/linked"), directory.at("v2/sbin/d")));
  CHECK(is(directory.at("current/../v2//sbin/d"), directory.at("v2/sbin/d")));
}

TEST_CASE("what is no program at the end of the way is refused") {
  const Directory directory;
  CHECK(problem_at("v1/sbin/d") == "the program is not executed: its path is not known");
  CHECK(problem_at("") == "the program is not executed: its path is not known");
  CHECK(problem_at(directory.at("current")).find("it is not a regular file") != std::string::npos);
  CHECK(problem_at(directory.at("current/sbin/none")).find("No such file") != std::string::npos);
  CHECK(problem_at(directory.at("current/sbin/d/d")).find("Not a directory") != std::string::npos);
  directory.lead_to("current");
  CHECK(problem_at(directory.at("current/sbin/d")).find("Too many levels of symbolic links") != std::string::npos);
  mkfifo(directory.at("v1/sbin/fifo").c_str(), 0755);
  CHECK(problem_at(directory.at("v1/sbin/fifo")).find("it is not a regular file") != std::string::npos);
  fs::permissions(directory.at("v2/sbin/d"), fs::perms(0644));
  CHECK(problem_at(directory.at("v2/sbin/d")).find("Permission denied") != std::string::npos);
}

TEST_CASE("a file and every directory on the way are nobody else's to write to") {
  const Directory directory;
  const std::string path = directory.at("current/sbin/d");
  fs::permissions(directory.at("v1/sbin/d"), fs::perms(0757));
  CHECK(problem_at(path).find("others may write to " + directory.at("v1/sbin/d")) != std::string::npos);
  fs::permissions(directory.at("v1/sbin/d"), fs::perms(0755));
  for (const char* one : {"v1/sbin", "v1"}) {
    fs::permissions(directory.at(one), fs::perms(0757));
    CHECK(problem_at(path).find("others may write to " + directory.at(one)) != std::string::npos);
    fs::permissions(directory.at(one), fs::perms(01757));  // sticky: what is in it belongs to whom it belongs
    CHECK(problem_at(path).empty());
    fs::permissions(directory.at(one), fs::perms(0755));
  }
}

TEST_CASE("a link of somebody else is not followed") {
  if (geteuid() != 0) return;
  const Directory directory;
  REQUIRE(lchown(directory.at("current").c_str(), 65534, 65534) == 0);
  CHECK(problem_at(directory.at("current/sbin/d")).find(directory.at("current") + " is a link of uid 65534") !=
        std::string::npos);
}

TEST_CASE("the running program's path is the one by which it was started") {
  const std::string real = fs::read_symlink("/proc/self/exe").string();
  const Directory directory;
  fs::create_symlink(real, directory.at("myself"));
  CHECK(own_program_path(directory.at("myself")) == directory.at("myself"));
  CHECK(own_program_path(directory.at("v1/sbin/d")) == real);  // not what is running
  CHECK(own_program_path("not-there") == real);
  CHECK(own_program_path("") == real);
  const std::string before = getenv("PATH");
  setenv("PATH", ("/nowhere:" + directory.at("") + ":/bin").c_str(), 1);
  CHECK(own_program_path("myself") == directory.at("") + "/myself");
  const fs::path here = fs::current_path();
  fs::current_path(directory.at("v1"));
  CHECK(own_program_path("../myself") == directory.at("v1/../myself"));
  fs::current_path(here);
  setenv("PATH", before.c_str(), 1);
}

}  // namespace
}  // namespace bulkhead::upgrade
