#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "master/process/process_launch.h"

namespace bulkhead::process::testing {

namespace {

using config::Ready;
using Variables = std::vector<std::string>;

const char* look_up(const char* name) {
  static const std::map<std::string, const char*> ours{
      {"PATH", "/bin"},          {"LANG", "C"},       {"SECRET", "s"},     {"NOTIFY_SOCKET", "/run/systemd/notify"},
      {"WATCHDOG_USEC", "1000"}, {"LISTEN_FDS", "1"}, {"LISTEN_PID", "1"}, {"LISTEN_FDNAMES", "web"},
      {"WATCHDOG_PID", "1"},     {"NOTIFY_FD", "7"},  {"EMPTY", ""},
  };
  const auto found = ours.find(name);
  return found == ours.end() ? nullptr : found->second;
}

config::Process process(Ready ready = Ready::fork) {
  config::Process out;
  out.argv = {"/bin/true"};
  out.ready = ready;
  return out;
}

}  // namespace

TEST_CASE("a child gets what pass_env and env name, and nothing else") {
  config::Process child = process();
  CHECK(child_environment(child, "", look_up) == Variables{"LANG=C", "PATH=/bin"});
  child.pass_env = {"EMPTY", "NOT_SET"};
  CHECK(child_environment(child, "", look_up) == Variables{"EMPTY="});
  child.pass_env = {};
  CHECK(child_environment(child, "", look_up).empty());
}

TEST_CASE("env wins over pass_env, and each name comes once") {
  config::Process child = process();
  child.env = {{"PATH", "/opt/bin"}, {"A", "1"}};
  CHECK(child_environment(child, "", look_up) == Variables{"A=1", "LANG=C", "PATH=/opt/bin"});
}

TEST_CASE("what our own service manager told us is never passed on") {
  config::Process child = process();
  child.pass_env = {"NOTIFY_SOCKET", "NOTIFY_FD",  "WATCHDOG_USEC",  "WATCHDOG_PID",
                    "LISTEN_FDS",    "LISTEN_PID", "LISTEN_FDNAMES", "SECRET"};
  CHECK(child_environment(child, "", look_up) == Variables{"SECRET=s"});
}

TEST_CASE("the ways to be ready bring their variables, and nobody else's stand in their way") {
  config::Process child = process(Ready::notify_fd);
  child.pass_env = {};
  child.env = {{"NOTIFY_FD", "9"}};
  CHECK(child_environment(child, "", look_up) == Variables{"NOTIFY_FD=3"});
  child = process(Ready::sd_notify);
  child.pass_env = {};
  child.env = {{"WATCHDOG_PID", "5"}, {"NOTIFY_SOCKET", "/x"}};
  child.watchdog = std::chrono::milliseconds(1500);
  CHECK(child_environment(child, "@0001", look_up) == Variables{"NOTIFY_SOCKET=@0001", "WATCHDOG_USEC=1500000"});
  child.watchdog.reset();
  child.env = {};
  CHECK(child_environment(child, "@0001", look_up) == Variables{"NOTIFY_SOCKET=@0001"});
}

TEST_CASE("a launch says who, where and what, and begins with /dev/null as descriptor 0") {
  config::Process child = process(Ready::sd_notify);
  child.chdir = "/tmp";
  child.stop_signal = 2;
  child.identity = config::Identity{"nobody", 65534, 65534, {7}};
  child.watchdog = std::chrono::seconds(1);
  auto launch = prepare_launch(child, {"A=1"});
  REQUIRE(launch);
  const SpawnRequest& request = launch->request;
  CHECK(request.argv == std::vector<std::string>{"/bin/true"});
  CHECK(request.environment == Variables{"A=1"});
  CHECK(request.pid_variable == "WATCHDOG_PID");
  CHECK(request.directory == "/tmp");
  CHECK(request.parent_death_signal == 2);
  CHECK(request.own_session);
  REQUIRE(request.credentials);
  CHECK(request.credentials->groups == std::vector<std::uint32_t>{7});
  REQUIRE(request.descriptors.size() == 1);
  CHECK(request.descriptors[0].to == 0);
}

}  // namespace bulkhead::process::testing
