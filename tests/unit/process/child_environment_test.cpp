#include "master/process/child_environment.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "master/process/process_launch.h"

namespace bulkhead::process::testing {

namespace {

using config::Ready;
using Lines = std::vector<std::string>;

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
  out.child.pass_env = {"PATH", "TZ", "LANG"};
  return out;
}

Lines environment(const config::Process& process, const std::string& notify_address) {
  return lines_of(process_environment(process, notify_address, look_up));
}

}  // namespace

TEST_CASE("a child gets what pass_env and env name, and nothing else") {
  config::Process child = process();
  CHECK(environment(child, "") == Lines{"LANG=C", "PATH=/bin"});
  child.child.pass_env = {"EMPTY", "NOT_SET"};
  CHECK(environment(child, "") == Lines{"EMPTY="});
  child.child.pass_env = {};
  CHECK(environment(child, "").empty());
}

TEST_CASE("env wins over pass_env, and each name comes once") {
  config::Process child = process();
  child.child.env = {{"PATH", "/opt/bin"}, {"A", "1"}};
  CHECK(environment(child, "") == Lines{"A=1", "LANG=C", "PATH=/opt/bin"});
}

TEST_CASE("the variables of the user are overridden by pass_env and env") {
  config::Process child = process();
  child.child.login = {{"HOME", "/home/alice"}, {"PATH", "/home/alice/bin"}, {"USER", "alice"}};
  child.child.env = {{"USER", "bob"}};
  child.child.unset_env = {"LANG"};
  CHECK(environment(child, "") == Lines{"HOME=/home/alice", "PATH=/bin", "USER=bob"});
}

TEST_CASE("unset_env has the last word") {
  config::Process child = process(Ready::sd_notify);
  child.child.env = {{"A", "1"}, {"B", "2"}};
  child.child.unset_env = {"A", "PATH", "NOTIFY_SOCKET", "NOT_SET"};
  CHECK(environment(child, "@0001") == Lines{"B=2", "LANG=C"});
}

TEST_CASE("variables of the daemon's own service manager are never passed on") {
  config::Process child = process();
  child.child.pass_env = {"NOTIFY_SOCKET", "NOTIFY_FD",  "WATCHDOG_USEC",  "WATCHDOG_PID",
                          "LISTEN_FDS",    "LISTEN_PID", "LISTEN_FDNAMES", "SECRET"};
  CHECK(environment(child, "") == Lines{"SECRET=s"});
}

TEST_CASE("variables that describe a client are not inherited unless configured") {
  const auto spoofed = [](const char*) { return "spoofed"; };
  config::ChildKeys keys;
  keys.pass_env = {"PROTO",      "TCPREMOTEHOST",    "TCP6REMOTEIP",  "IPCREMOTEPATH", "UNIXLOCALGID", "REMOTE_ADDR",
                   "SSL_CIPHER", "BULKHEAD_CONN_ID", "SSL_CERT_FILE", "REMOTE",        "LISTEN_FDS"};
  keys.env = {{"TCPREMOTEHOST", "client"}};
  CHECK(lines_of(connection_environment(keys, spoofed)) ==
        Lines{"REMOTE=spoofed", "SSL_CERT_FILE=spoofed", "TCPREMOTEHOST=client"});
}

TEST_CASE("each readiness method sets its variables, whatever the configuration sets") {
  config::Process child = process(Ready::notify_fd);
  child.child.pass_env = {};
  child.child.env = {{"NOTIFY_FD", "9"}};
  CHECK(environment(child, "") == Lines{"NOTIFY_FD=3"});
  child = process(Ready::sd_notify);
  child.child.pass_env = {};
  child.child.env = {{"WATCHDOG_PID", "5"}, {"NOTIFY_SOCKET", "/x"}};
  child.watchdog = std::chrono::milliseconds(1500);
  CHECK(environment(child, "@0001") == Lines{"NOTIFY_SOCKET=@0001", "WATCHDOG_USEC=1500000"});
  child.watchdog.reset();
  child.child.env = {};
  CHECK(environment(child, "@0001") == Lines{"NOTIFY_SOCKET=@0001"});
}

TEST_CASE("a launch has identity, directory and program, and starts with /dev/null as descriptor 0") {
  config::Process child = process(Ready::sd_notify);
  child.child.chdir = "/tmp";
  child.child.chroot = "/srv";
  child.stop_signal = 2;
  child.child.identity = config::Identity{"nobody", 65534, 65534, {7}};
  child.watchdog = std::chrono::seconds(1);
  auto launch = prepare_launch(child, {"A=1"});
  REQUIRE(launch);
  const SpawnRequest& request = launch->request;
  CHECK(request.argv == std::vector<std::string>{"/bin/true"});
  CHECK(request.environment == Lines{"A=1"});
  CHECK(request.pid_variable == "WATCHDOG_PID");
  CHECK(request.directory == "/tmp");
  CHECK(request.root == "/srv");
  CHECK(request.parent_death_signal == 2);
  CHECK(request.own_session);
  CHECK(request.confinement.uid == 65534);
  REQUIRE(request.descriptors.size() == 1);
  CHECK(request.descriptors[0].to == 0);
}

}  // namespace bulkhead::process::testing
