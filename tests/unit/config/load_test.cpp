// Input from the file system: unreadable files, included files, cgroups.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "master/config/cpus.h"
#include "master/config/process_limit.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

// A directory that is removed at the end of the test.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "bulkhead-config-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
    return path(name);
  }

 private:
  std::string path_;
};

std::string child(const std::string& id, const std::string& port) {
  return R"({"id":")" + id + R"(","type":"listener","listen":")" + port + R"(","handler":"echo"})";
}

TEST_CASE("a file that cannot be read is one problem without a position") {
  const Directory directory;
  const std::string fifo = directory.path("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(texts(load(fifo)) == fifo + ": expected a regular file, this is a FIFO");
  CHECK(texts(load(directory.path())) == directory.path() + ": expected a regular file, this is a directory");
  CHECK(texts(load("/dev/zero")) == "/dev/zero: expected a regular file, this is a device");
  CHECK(texts(load("/nonexistent")) == "/nonexistent: cannot open: No such file or directory");
  CHECK(texts(load("/etc/passwd/x")) == "/etc/passwd/x: cannot open: Not a directory");
  CHECK(texts(load("")) == ": cannot open: No such file or directory");
}

TEST_CASE("a file that is too large is not read") {
  const Directory directory;
  const std::string large = directory.write("large.json", std::string((1U << 20U) + 1, ' '));
  CHECK(texts(load(large)) == large + ": larger than 1 MiB, the most that a configuration file may have");
}

TEST_CASE("an unreadable file names its errno") {
  if (geteuid() == 0) return;  // root may read everything
  const Directory directory;
  const std::string file = directory.write("secret.json", kSmallest);
  REQUIRE(chmod(file.c_str(), 0) == 0);
  CHECK(texts(load(file)) == file + ": cannot open: Permission denied");
}

TEST_CASE("a good file is loaded by its name, and paths in it are relative to it") {
  const Directory directory;
  const std::string file =
      directory.write("a.json", R"({"log":{"target":"./x.log"},"supervisor":{"children":[)" + child("a", "0") + "]}}");
  const Loaded loaded = load(file);
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  CHECK(loaded.config->file == file);
  CHECK(loaded.config->log.target == directory.path("x.log"));
}

Loaded load_including(const Directory& directory, const std::string& pattern, const std::string& children) {
  const std::string text = R"({"include":")" + pattern + R"(","supervisor":{"children":[)" + children + "]}}";
  return parse(text, "main.json", directory.path(), FakeHost());
}

TEST_CASE("children of included files follow those of the root, file by file in the order of the names") {
  const Directory directory;
  directory.write("conf.d/20.json", "[" + child("c", "3") + "]");
  directory.write("conf.d/10.json", "[" + child("b", "2") + "," + child("d", "4") + "]");
  directory.write("conf.d/.hidden.json", "x");
  directory.write("conf.d/10.json~", "x");
  directory.write("conf.d/README", "x");
  const Loaded loaded = load_including(directory, "conf.d/*", child("a", "1"));
  CHECK(texts(loaded) ==
        directory.path("conf.d/README") + ":1:1: /: expected a JSON value, found x; words must be in double quotes");
  const Loaded good = load_including(directory, "conf.d/*.json", child("a", "1"));
  INFO(texts(good));
  REQUIRE(good.config);
  std::string ids;
  for (const Node& node : good.config->root.children) ids += node.spec.id;
  CHECK(ids == "abdc");
  CHECK(good.config->root.children[1].file == directory.path("conf.d/10.json"));
  CHECK(good.config->root.children[1].pointer == "/0");
}

Loaded load_denying(const Directory& directory, const std::string& deny) {
  const std::string text = R"({"supervisor":{"children":[{"id":"a","type":"listener","listen":"1","handler":"echo",
"deny":)" + deny + "}]}}";
  return parse(text, "main.json", directory.path(), FakeHost());
}

TEST_CASE("networks are read from a file with one a line") {
  const Directory directory;
  directory.write("deny.txt", "# ours\n192.0.2.0/24\n\n \t2001:db8::/32  # a comment\r\n192.0.2.0/24\n198.51.100.7");
  for (const std::string deny : {R"("@deny.txt")", R"(["@deny.txt"])"}) {
    const Loaded loaded = load_denying(directory, deny);
    INFO(texts(loaded));
    REQUIRE(loaded.config);
    std::string listed;
    for (const Network& one : loaded.config->root.children[0].listener->deny) listed += one.text + " ";
    CHECK(listed == "192.0.2.0/24 2001:db8::/32 198.51.100.7/32 ");
    const Loaded again = parse(loaded.effective, "again.json", "/", FakeHost());  // without the file
    CHECK(again.effective == loaded.effective);
  }
}

TEST_CASE("what is wrong in a file of networks is reported with its line, and not without end") {
  const Directory directory;
  const std::string file = directory.write("deny.txt", "192.0.2.0/24\n  192.0.2.1/24\nexample.org\n");
  CHECK(texts(load_denying(directory, R"(["203.0.113.0/24", "@deny.txt", "x"])")) ==
        "main.json:2:40: /supervisor/children/0/deny/2: expected a network such as \"192.0.2.0/24\" or "
        "\"2001:db8::/32\", got \"x\"\n" +
            file + ":2:3: /: \"192.0.2.1/24\" has bits beyond its prefix; the network is \"192.0.2.0/24\"\n" + file +
            ":3:1: /: expected a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", got \"example.org\"");
  CHECK(texts(load_denying(directory, R"("@")")) ==
        "main.json:2:8: /supervisor/children/0/deny: expected the path of a file after the \"@\"");
  CHECK(texts(load_denying(directory, R"("@none.txt")")) ==
        "main.json:2:8: /supervisor/children/0/deny: " + directory.path("none.txt") +
            ": cannot open: No such file or directory");
  std::string binary;
  for (int i = 0; i < 1000; ++i) binary += "x\n";
  directory.write("deny.txt", binary);
  CHECK(load_denying(directory, R"("@deny.txt")").problems.size() == 21);
}

TEST_CASE("the effective file contains the included children") {
  const Directory directory;
  directory.write("conf.d/a.json", "[" + child("b", "2") + "]");
  const Loaded loaded = load_including(directory, "conf.d/*.json", child("a", "1"));
  REQUIRE(loaded.config);
  CHECK(loaded.effective.find("include") == std::string::npos);
  const Loaded again = parse(loaded.effective, "main.json", "/nowhere", FakeHost());
  REQUIRE(again.config);
  CHECK(again.config->root.children.size() == 2);
  CHECK(again.effective == loaded.effective);
}

TEST_CASE("all children may be included") {
  const Directory directory;
  directory.write("conf.d/a.json", "[" + child("b", "2") + "]");
  CHECK(load_including(directory, "conf.d/*.json", "").config);
  CHECK(texts(load_including(directory, "conf.d/*.conf", "")) ==
        "main.json:1:53: /supervisor/children: the root supervisor needs at least one child");
}

TEST_CASE("problems of included files name their file and come after those of the main file") {
  const Directory directory;
  const std::string a = directory.write("conf.d/a.json", "[\n" + child("b", "x") + "," + child("a", "1") + "]");
  const std::string b = directory.write("conf.d/b.json", "{}");
  const std::string c = directory.write("conf.d/c.json", "[");
  const Loaded loaded = load_including(directory, "conf.d/*.json", child("a", "1") + ",5");
  CHECK(texts(loaded) == "main.json:1:113: /supervisor/children/1: expected a child (an object), got the number 5\n" +
                             a + ":2:38: /0/listen: \"x\" has no port; write \"ADDRESS:PORT\"\n" + a +
                             ":2:66: /1/id: the id \"a\" is already used by /supervisor/children/0 of main.json\n" + a +
                             ":2:97: /1/listen: \"1\" is already used by /supervisor/children/0/listen of main.json "
                             "(line 1, column 91)\n" +
                             b + ":1:1: /: expected a list of children, got an object\n" + c +
                             ":1:2: /0: expected a value or \"]\", found the end of the file");
}

TEST_CASE("a FIFO among the included files is a problem, not a wait") {
  const Directory directory;
  directory.write("conf.d/a.json", "[]");
  REQUIRE(mkfifo(directory.path("conf.d/b.json").c_str(), 0600) == 0);
  CHECK(texts(load_including(directory, "conf.d/*.json", child("a", "1"))) ==
        directory.path("conf.d/b.json") + ": expected a regular file, this is a FIFO");
}

struct Cgroup {
  const char* membership;
  const char* file;
  const char* text;
  std::uint32_t cpus;
};

TEST_CASE("a cgroup's quota is rounded up to whole CPUs") {
  const Cgroup rows[] = {
      {"0::/a/b\n", "a/b/cpu.max", "200000 100000\n", 2}, {"0::/a/b\n", "a/b/cpu.max", "150000 100000\n", 2},
      {"0::/a/b\n", "a/b/cpu.max", "1000 100000\n", 1},   {"0::/a/b\n", "a/b/cpu.max", "max 100000\n", 0},
      {"0::/a/b\n", "a/cpu.max", "300000 100000\n", 3},   {"0::/\n", "cpu.max", "300000 100000\n", 3},
      {"0::/a/b\n", "a/b/cpu.max", "rubbish", 0},         {"0::/a/b\n", "a/b/cpu.max", "1 0\n", 0},
      {"0::/a/b\n", "c/cpu.max", "100000 100000\n", 0},   {"", "cpu.max", "100000 100000\n", 0},
      {"::\n0:\n\nx", "cpu.max", "100000 100000\n", 0}};
  for (const Cgroup& row : rows) {
    INFO(row.membership << row.file << " " << row.text);
    const Directory mount;
    mount.write(row.file, row.text);
    CHECK(cgroup_limit(kCpus, row.membership, mount.path()).value == row.cpus);
  }
}

TEST_CASE("the strictest cgroup counts, and version 1 is read too") {
  const Directory mount;
  mount.write("a/b/cpu.max", "800000 100000\n");
  mount.write("a/cpu.max", "400000 100000\n");
  CHECK(cgroup_limit(kCpus, "0::/a/b\n", mount.path()).value == 4);
  mount.write("cpu/x/cpu.cfs_quota_us", "250000\n");
  mount.write("cpu/x/cpu.cfs_period_us", "100000\n");
  CHECK(cgroup_limit(kCpus, "5:cpuset:/\n4:cpu,cpuacct:/x\n1:name=systemd:/a\n", mount.path()).value == 3);
  CHECK(cgroup_limit(kCpus, "4:cpu,cpuacct:/x\n0::/a/b\n", mount.path()).value == 3);
  mount.write("cpu/x/cpu.cfs_quota_us", "-1\n");
  CHECK(cgroup_limit(kCpus, "4:cpu:/x\n", mount.path()).value == 0);
}

TEST_CASE("pids.max is that of the strictest cgroup, in both versions") {
  struct Row {
    const char* membership;
    std::uint32_t most;
    const char* directory;
  };
  const Directory mount;
  mount.write("a/pids.max", "500\n");
  mount.write("a/b/pids.max", "max\n");
  mount.write("a/b/c/pids.max", "500\n");
  mount.write("a/x/pids.max", "20\n");
  mount.write("a/none/pids.max", "0\n");
  mount.write("a/odd/pids.max", "many\n");
  mount.write("huge/pids.max", "9223372036854775807\n");
  mount.write("pids/lxc/1/pids.max", "77");
  const Row rows[] = {{"0::/a\n", 500, "/a"},
                      {"0::/a/b\n", 500, "/a"},
                      {"0::/a/b/c\n", 500, "/a/b/c"},
                      {"0::/a/x\n", 20, "/a/x"},
                      {"0::/a/x/out/of/sight\n", 20, "/a/x"},
                      {"0::/a/none\n", 1, "/a/none"},
                      {"0::/a/odd\n", 500, "/a"},
                      {"0::/huge\n", 2147483647, "/huge"},
                      {"0::/\n", 0, ""},
                      {"7:cpu:/lxc/1\n", 0, ""},
                      {"8:pids:/lxc/1\n", 77, "/pids/lxc/1"},
                      {"8:pids:/lxc/1\n0::/a/x\n", 20, "/a/x"},
                      {"", 0, ""}};
  for (const Row& row : rows) {
    INFO(row.membership);
    const CgroupLimit limit = cgroup_limit(kPids, row.membership, mount.path());
    CHECK(limit.value == row.most);
    CHECK(limit.directory == (row.most == 0 ? "" : mount.path() + row.directory));
  }
}

TEST_CASE("the cgroup whose processes are killed together is found") {
  const Directory mount;
  mount.write("a/memory.oom.group", "1\n");
  mount.write("a/b/memory.oom.group", "0\n");
  mount.write("c/memory.oom.group", "0\n");
  mount.write("memory/c/memory.oom.group", "1\n");  // version 1 has no such file
  CHECK(cgroup_limit(kOomGroup, "0::/a/b\n", mount.path()).directory == mount.path() + "/a");
  CHECK(cgroup_limit(kOomGroup, "4:memory:/c\n0::/c\n", mount.path()).value == 0);
}

TEST_CASE("RLIMIT_NPROC applies to users other than root") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NPROC, &before) == 0);
  const rlimit few{std::min<rlim_t>(3, before.rlim_max), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NPROC, &few) == 0);
  const Capacity capacity = this_host().capacity();
  REQUIRE(setrlimit(RLIMIT_NPROC, &before) == 0);
  CHECK(capacity.of_root.name != "RLIMIT_NPROC");
  CHECK(capacity.of_others.most == few.rlim_cur);
  CHECK(capacity.of_others.name == "RLIMIT_NPROC");
  CHECK(patient_host().capacity().of_others.most == 0);
}

TEST_CASE("this system has at least one CPU, and root") {
  CHECK(this_host().capacity().cpus >= 1);
  CHECK(patient_host().capacity().cpus == this_host().capacity().cpus);
  const auto root = this_host().user("root");
  REQUIRE(root);
  CHECK(root->uid == 0);
  CHECK(this_host().user(0)->name == "root");
  CHECK_FALSE(this_host().user("no such user"));
  CHECK_FALSE(this_host().group("no such group"));
  CHECK_FALSE(this_host().groups(*root, root->gid).empty());
  CHECK_FALSE(this_host().search_path().empty());
}

}  // namespace
}  // namespace bulkhead::config
