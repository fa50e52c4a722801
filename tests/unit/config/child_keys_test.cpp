// The keys of listeners and processes about the identity, the environment and the limits of their processes.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <string_view>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

constexpr std::uint64_t kMega = 1U << 20U;

ChildKeys keys_of(Shape shape, std::string_view fragment, std::uint32_t uid = 0) {
  const Loaded loaded = parse(file_of(shape, fragment), "good.json", "/etc", FakeHost(uid));
  INFO(fragment << "\n" << texts(loaded));
  REQUIRE(loaded.config);
  const Node& node = loaded.config->root.children.at(0);
  return node.listener ? node.listener->child : node.process->child;
}

std::map<int, std::uint64_t> limits_of(const ChildKeys& keys) {
  std::map<int, std::uint64_t> out;
  for (const Rlimit& limit : keys.rlimits) out[limit.resource] = limit.value;
  return out;
}

TEST_CASE("without child keys a child inherits everything except umask, directory, core and sandbox") {
  for (const Shape shape : {Shape::listener, Shape::process}) {
    const ChildKeys keys = keys_of(shape, R"("restart":"transient")");
    CHECK(keys.umask == 022);
    CHECK(keys.chdir == "/");
    CHECK(keys.chroot.empty());
    CHECK_FALSE(keys.nice);
    CHECK_FALSE(keys.ioprio);
    CHECK_FALSE(keys.oom_score_adj);
    CHECK(limits_of(keys) == std::map<int, std::uint64_t>{{RLIMIT_CORE, 0}});
    CHECK(keys.env.empty());
    CHECK(keys.pass_env == std::vector<std::string>{"PATH", "TZ", "LANG"});
    CHECK(keys.unset_env.empty());
    CHECK_FALSE(keys.standard_error);
    CHECK(keys.log_rate_limit.has_value() == (shape == Shape::listener));
    CHECK(keys.log_rate_limit.value_or(100) == 100);
    CHECK(keys.kill_mode == KillMode::group);
    CHECK_FALSE(keys.sandbox.new_privileges);
    CHECK(keys.sandbox.calls.list == sandbox::CallList::common);
  }
}

TEST_CASE("every child key can be set") {
  const Loaded loaded = parse(kEverything, "good.json", "/etc", FakeHost());
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  const ChildKeys& keys = loaded.config->root.children.at(0).listener->child;
  REQUIRE(keys.identity);
  CHECK(keys.identity->groups == std::vector<std::uint32_t>{2000, 7});
  CHECK(keys.umask == 027);
  CHECK(keys.chdir == "/tmp");
  CHECK(keys.chroot == "/");
  CHECK(keys.nice == std::optional(-5));
  CHECK(keys.ioprio == std::optional(2 << 13 | 6));
  CHECK(keys.oom_score_adj == std::optional(-100));
  CHECK(limits_of(keys) == std::map<int, std::uint64_t>{{RLIMIT_NOFILE, 64},
                                                        {RLIMIT_AS, 512 * kMega},
                                                        {RLIMIT_CPU, 2},
                                                        {RLIMIT_DATA, kMega},
                                                        {RLIMIT_STACK, kUnlimited},
                                                        {RLIMIT_CORE, kUnlimited},
                                                        {RLIMIT_FSIZE, kMega << 20U},
                                                        {RLIMIT_NPROC, 9}});
  CHECK(keys.env == std::vector<std::pair<std::string, std::string>>{{"A", "x"}});
  CHECK(keys.pass_env == std::vector<std::string>{"HOME"});
  CHECK(keys.unset_env == std::vector<std::string>{"TCPREMOTEIP", "LANG"});
  CHECK(keys.standard_error == std::optional(StandardError::null));
  CHECK_FALSE(keys.log_rate_limit);
  CHECK(keys.kill_mode == KillMode::process);
  CHECK(keys.sandbox.new_privileges);
  CHECK(keys.sandbox.calls.list == sandbox::CallList::any);
}

TEST_CASE("the words of ioprio are the kernel's classes and levels") {
  const std::pair<const char*, int> rows[] = {{"realtime:0", 1 << 13},        {"realtime:7", 1 << 13 | 7},
                                              {"best_effort:0", 2 << 13},     {"best_effort:4", 2 << 13 | 4},
                                              {"best_effort:7", 2 << 13 | 7}, {"idle", 3 << 13}};
  for (const auto& [word, value] : rows) {
    INFO(word);
    CHECK(keys_of(Shape::process, R"("ioprio":")" + std::string(word) + '"').ioprio == std::optional(value));
  }
}

TEST_CASE("supplementary groups are those of the user unless they are given") {
  const std::pair<const char*, std::vector<std::uint32_t>> rows[] = {
      {R"("user":"alice")", {1000, 2000}},
      {R"("user":"alice","groups":[])", {}},
      {R"("user":"alice","group":"staff","groups":["33"])", {33}},
      {R"("user":"12345","group":"7","groups":["www-data","8"])", {33, 8}},
      {R"("groups":["staff"])", {2000}}};
  for (const auto& [fragment, groups] : rows) {
    const ChildKeys keys = keys_of(Shape::process, fragment);
    INFO(fragment);
    REQUIRE(keys.identity);
    CHECK(keys.identity->groups == groups);
  }
  CHECK(keys_of(Shape::listener, R"("groups":["staff"])").identity->groups == std::vector<std::uint32_t>{2000});
}

TEST_CASE("a user other than root may set what needs no privilege") {
  const ChildKeys keys =
      keys_of(Shape::process, R"("umask":"077","nice":5,"rlimits":{"nofile":4096,"as":4096,"cpu":"1s"})", 1000);
  CHECK_FALSE(keys.identity);
  CHECK(limits_of(keys).at(RLIMIT_NOFILE) == 4096);
}

TEST_CASE("a chroot moves the directory and the program") {
  // "/bin/sh" of /usr/.. is the system's; symbolic links inside a root never lead out of it.
  CHECK(keys_of(Shape::child, R"({"id":"p","type":"process","argv":["/sh"],"chroot":"/bin","chdir":"/."})").chroot ==
        "/bin");
  CHECK(keys_of(Shape::child, R"({"id":"p","type":"process","argv":["/../../sh"],"chroot":"/bin"})").chdir == "/");
}

struct Bad {
  const char* name;
  Shape shape;
  std::string_view fragment;
  const char* problems;
  std::uint32_t uid = 0;
};

// clang-format off
constexpr Bad kBad[] = {
    {"a group in the list that does not exist", Shape::process, R"("groups":["staff","bobs"])",
     R"(bad.json:2:19: /supervisor/children/0/groups/1: no group "bobs" in the group database)"},
    {"a group in the list that is a number", Shape::process, R"("groups":[7])",
     R"(bad.json:2:11: /supervisor/children/0/groups/0: expected a name or a number in a string, got the number 7)"},
    {"groups that are one string", Shape::process, R"("groups":"staff")",
     R"(bad.json:2:10: /supervisor/children/0/groups: expected a list of names or numbers of groups, got the string "staff")"},
    {"groups without root", Shape::process, R"("groups":["2000"])",
     R"(bad.json:2:10: /supervisor/children/0/groups: only root can set supplementary groups)", 1000},
    {"a umask as a number", Shape::process, R"("umask":22)",
     R"(bad.json:2:9: /supervisor/children/0/umask: expected a file mode such as "0600", got the number 22; write it as a string in octal)"},
    {"a missing chroot", Shape::listener, R"("chroot":"/nonexistent")",
     R"(bad.json:2:10: /supervisor/children/0/chroot: cannot change the root to "/nonexistent": No such file or directory)"},
    {"a chroot without root", Shape::listener, R"("chroot":"/tmp")",
     R"(bad.json:2:10: /supervisor/children/0/chroot: only root can change the root directory)", 1000},
    {"a directory that is not in the chroot", Shape::listener, R"("chroot":"/bin","chdir":"/tmp")",
     R"(bad.json:2:25: /supervisor/children/0/chdir: cannot change to "/tmp": No such file or directory)"},
    {"a relative directory in a chroot", Shape::listener, R"("chroot":"/","chdir":"tmp")",
     R"(bad.json:2:22: /supervisor/children/0/chdir: expected an absolute path inside the chroot, got "tmp")"},
    {"a program that is not in the chroot", Shape::child, R"({"id":"p","type":"process","argv":["/bin/sh"],"chroot":"/bin"})",
     R"(bad.json:2:36: /supervisor/children/0/argv/0: cannot execute "/bin/sh": No such file or directory)"},
    {"a relative program in a chroot", Shape::child, R"({"id":"p","type":"process","argv":["./sh"],"chroot":"/bin"})",
     R"(bad.json:2:36: /supervisor/children/0/argv/0: expected an absolute path inside the chroot, got "./sh")"},
    {"a handler that is not in the chroot", Shape::child, R"({"id":"a","type":"listener","listen":"1","handler":{"exec":["/bin/cat"]},"user":"root","chroot":"/bin"})",
     R"(bad.json:2:61: /supervisor/children/0/handler/exec/0: cannot execute "/bin/cat": No such file or directory)"},
    {"a priority beyond the kernel's", Shape::process, R"("nice":20)",
     R"(bad.json:2:8: /supervisor/children/0/nice: expected an integer from -20 to 19, got the number 20)"},
    {"an ioprio in ionice's spelling", Shape::process, R"("ioprio":"idel")",
     R"(bad.json:2:10: /supervisor/children/0/ioprio: expected one of "realtime:0", "realtime:1", "realtime:2", "realtime:3", "realtime:4", "realtime:5", "realtime:6", "realtime:7", "best_effort:0", "best_effort:1", "best_effort:2", "best_effort:3", "best_effort:4", "best_effort:5", "best_effort:6", "best_effort:7" or "idle", got the string "idel"; did you mean "idle"?)"},
    {"an oom_score_adj beyond the kernel's", Shape::process, R"("oom_score_adj":-1001)",
     R"(bad.json:2:17: /supervisor/children/0/oom_score_adj: expected an integer from -1,000 to 1,000, got the number -1001)"},
    {"an unknown limit", Shape::process, R"("rlimits":{"nofiles":10})",
     R"(bad.json:2:12: /supervisor/children/0/rlimits/nofiles: unknown key "nofiles" in rlimits; did you mean "nofile"?)"},
    {"a limit of 0 descriptors", Shape::process, R"("rlimits":{"nofile":0})",
     R"(bad.json:2:21: /supervisor/children/0/rlimits/nofile: expected an integer from 3 to 1,000,000,000, got the number 0)"},
    {"unlimited descriptors", Shape::process, R"("rlimits":{"nofile":"unlimited"})",
     R"(bad.json:2:21: /supervisor/children/0/rlimits/nofile: expected an integer from 3 to 1,000,000,000, got the string "unlimited")"},
    {"processor time as a number", Shape::process, R"("rlimits":{"cpu":60})",
     R"(bad.json:2:18: /supervisor/children/0/rlimits/cpu: expected a duration from "1s" to "8760h" or "unlimited", got the number 60; write "60s" if seconds are meant)"},
    {"a size with a space", Shape::process, R"("rlimits":{"as":"64 M"})",
     R"(bad.json:2:17: /supervisor/children/0/rlimits/as: expected a size from 0 to "1024T" or "unlimited", got the string "64 M"; a size is an integer and K, M, G or T, such as "64K", or a number of bytes)"},
    {"a limit above the hard one without root", Shape::process, R"("rlimits":{"nofile":4097,"core":"unlimited"})",
     R"(bad.json:2:21: /supervisor/children/0/rlimits/nofile: only root can raise the hard limit, which is 4096 for the daemon)" "\n" R"(bad.json:2:33: /supervisor/children/0/rlimits/core: only root can raise the hard limit, which is 4096 for the daemon)", 1000},
    {"an invalid name of a variable to leave out", Shape::process, R"("unset_env":["A=B"])",
     R"(bad.json:2:14: /supervisor/children/0/unset_env/0: expected a name without "=", got the string "A=B")"},
    {"a process that speaks to a client", Shape::process, R"("stderr":"socket")",
     R"(bad.json:2:10: /supervisor/children/0/stderr: expected a path, "log", "null" or "inherit", got the string "socket"; a path here must contain a "/")"},
    {"standard error to a file", Shape::listener, R"("stderr":"/var/log/x")",
     R"(bad.json:2:10: /supervisor/children/0/stderr: expected one of "log", "null", "socket" or "inherit", got the string "/var/log/x")"},
    {"no lines at all", Shape::listener, R"("log_rate_limit":0)",
     R"(bad.json:2:18: /supervisor/children/0/log_rate_limit: expected an integer from 1 to 1,000,000 or "unlimited", got the number 0)"},
    {"a kill_mode of another system", Shape::listener, R"("kill_mode":"control-group")",
     R"(bad.json:2:13: /supervisor/children/0/kill_mode: expected one of "group", "mixed" or "process", got the string "control-group"; write "group")"},
    {"the group of a connection in two ways", Shape::listener, R"("kill_mode":"mixed")",
     R"(bad.json:2:13: /supervisor/children/0/kill_mode: only a process can have "mixed": the group of a connection is signalled as a whole, or not at all)"},
    {"a sandbox that does not exist", Shape::listener, R"("sandbox":"tight")",
     R"(bad.json:2:11: /supervisor/children/0/sandbox: expected an object, "basic", "none" or "strict", got the string "tight")"},
    {"a child key of a supervisor", Shape::child, R"({"id":"s","type":"supervisor","user":"alice"})",
     R"(bad.json:2:31: /supervisor/children/0/user: unknown key "user" in a supervisor; it is a key of listener and process)"},
};
// clang-format on

TEST_CASE("a bad child key is reported with its position") {
  for (const Bad& bad : kBad) {
    INFO(bad.name << ": " << bad.fragment);
    const FakeHost host(bad.uid);
    const Loaded loaded = parse(file_of(bad.shape, bad.fragment), "bad.json", "/etc", host);
    CHECK(texts(loaded) == bad.problems);
    CHECK_FALSE(loaded.config);
  }
}

}  // namespace
}  // namespace bulkhead::config
