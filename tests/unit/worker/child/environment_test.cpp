#include "worker/child/environment.h"

#include <arpa/inet.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace bulkhead;

namespace {

const char* const kNothing[] = {nullptr};

ipc::Peer ip(int family, const char* address, std::uint16_t port) {
  ipc::Peer peer;
  peer.family = static_cast<std::uint16_t>(family);
  peer.port = port;
  inet_pton(family, address, peer.address);
  return peer;
}

std::vector<std::string> strings(const char* const* environment) {
  std::vector<std::string> out;
  for (; *environment != nullptr; ++environment) out.emplace_back(*environment);
  return out;
}

}  // namespace

TEST_CASE("a TCP connection's environment has UCSPI's, systemd's, xinetd's and our own names") {
  child::Environment environment(1);
  const char* const base[] = {"PATH=/bin", nullptr};
  const child::ConnectionFacts facts{
      ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "127.0.0.1", 4040), "", "", "root/echo", 0x8f3a, 1};
  const std::vector<std::string> expected{"PATH=/bin",
                                          "PROTO=TCP",
                                          "TCPREMOTEIP=192.0.2.7",
                                          "TCPREMOTEPORT=5000",
                                          "TCPLOCALIP=127.0.0.1",
                                          "TCPLOCALPORT=4040",
                                          "REMOTE_ADDR=192.0.2.7",
                                          "REMOTE_HOST=192.0.2.7",
                                          "REMOTE_PORT=5000",
                                          "BULKHEAD_CONN_ID=8f3a",
                                          "BULKHEAD_LISTENER=root/echo",
                                          "BULKHEAD_GENERATION=1",
                                          "BULKHEAD_STRESS=0"};
  CHECK(strings(environment.build(base, facts).variables) == expected);
  SECTION("the next connection's environment has nothing of the last") {
    child::ConnectionFacts next = facts;
    next.id = 0;
    next.peer.port = 1;
    const auto second = strings(environment.build(base, next).variables);
    CHECK(second.size() == expected.size());
    CHECK(second[3] == "TCPREMOTEPORT=1");
    CHECK(second[9] == "BULKHEAD_CONN_ID=0");
  }
}

TEST_CASE("IPv6 connections have the TCP6 names too") {
  child::Environment environment(0);
  const auto all = strings(
      environment.build(kNothing, {ip(AF_INET6, "2001:db8::1", 1), ip(AF_INET6, "::1", 2), "", "", "root/a", 1, 1})
          .variables);
  CHECK(std::count(all.begin(), all.end(), "TCP6REMOTEIP=2001:db8::1") == 1);
  CHECK(std::count(all.begin(), all.end(), "TCPREMOTEIP=2001:db8::1") == 1);
  CHECK(std::count(all.begin(), all.end(), "TCP6LOCALPORT=2") == 1);
}

TEST_CASE("Unix connections have the IPC and the UNIX names") {
  child::Environment environment(0);
  ipc::Peer peer;
  peer.family = AF_UNIX;
  peer.uid = 1000;
  peer.gid = 100;
  peer.pid = 812;
  const auto all = strings(environment.build(kNothing, {peer, {}, "/run/x.sock", "@client", "root/a", 1, 1}).variables);
  for (const char* name :
       {"PROTO=IPC", "IPCREMOTEEUID=1000", "IPCREMOTEEGID=100", "IPCLOCALPATH=/run/x.sock", "UNIXREMOTEEUID=1000",
        "UNIXREMOTEEGID=100", "UNIXREMOTEPID=812", "UNIXLOCALPATH=/run/x.sock", "IPCREMOTEPATH=@client",
        "UNIXREMOTEPATH=@client", "REMOTE_ADDR=@client"}) {
    INFO(name);
    CHECK(std::count(all.begin(), all.end(), name) == 1);
  }
}

TEST_CASE("behind a balancer the client is the one in the header, and the connection's own ends are given too") {
  child::Environment environment(0);
  child::ConnectionFacts facts{
      ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "198.51.100.1", 443), "", "", "root/echo", 1, 1};
  facts.proxy = {"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n", ip(AF_INET, "127.0.0.1", 40000),
                 ip(AF_INET6, "::1", 4040)};
  const auto variables = strings(environment.build(kNothing, facts).variables);
  for (const char* expected : {"TCPREMOTEIP=192.0.2.7", "TCPLOCALPORT=443", "BULKHEAD_REAL_PEER=127.0.0.1:40000",
                               "BULKHEAD_REAL_LOCAL=[::1]:4040", "BULKHEAD_PROXY_VERSION=1"}) {
    INFO(expected);
    CHECK(std::count(variables.begin(), variables.end(), expected) == 1);
  }
  SECTION("the next connection's environment has nothing of the last") {
    facts.proxy = {};
    for (const std::string& variable : strings(environment.build(kNothing, facts).variables)) {
      CHECK(variable.find("PROXY") == std::string::npos);
      CHECK(variable.find("REAL") == std::string::npos);
    }
  }
}

TEST_CASE("a program that uses LISTEN_FDS gets it, with room for a pid that is not known yet") {
  child::Environment environment(0);
  child::ConnectionFacts facts{ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "127.0.0.1", 4040), "", "", "root/a", 1, 1};
  CHECK(environment.build(kNothing, facts).pid_field == nullptr);
  facts.listen_fds = true;
  const auto built = environment.build(kNothing, facts);
  REQUIRE(built.pid_field != nullptr);
  ipc::decimal_text(0xffffffff, built.pid_field);
  const auto all = strings(built.variables);
  for (const char* name : {"LISTEN_FDS=1", "LISTEN_FDNAMES=connection", "LISTEN_PID=4294967295"}) {
    INFO(name);
    CHECK(std::count(all.begin(), all.end(), name) == 1);
  }
}

TEST_CASE("the number of the source's connections is given if it is counted") {
  child::Environment environment(0);
  child::ConnectionFacts facts{ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "127.0.0.1", 4040), "", "", "root/a", 1, 1};
  facts.source_connections = 3;
  facts.stress = true;
  const auto all = strings(environment.build(kNothing, facts).variables);
  CHECK(std::count(all.begin(), all.end(), "TCPCONNNUM=3") == 1);
  CHECK(std::count(all.begin(), all.end(), "BULKHEAD_STRESS=1") == 1);
}

TEST_CASE("optional variables are set only if they have a value") {
  struct Row {
    const char* name;
    std::uint32_t child::ConnectionFacts::*fact;
    std::uint32_t value;
  };
  for (const Row& row : {Row{"BULKHEAD_DEADLINE", &child::ConnectionFacts::deadline_s, 90},
                         Row{"BULKHEAD_DRAIN_FD", &child::ConnectionFacts::drain_fd, 4}}) {
    INFO(row.name);
    child::Environment environment(0);
    child::ConnectionFacts facts{
        ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "127.0.0.1", 4040), "", "", "root/a", 1, 1};
    for (const std::string& variable : strings(environment.build(kNothing, facts).variables))
      CHECK(variable.find(row.name) == std::string::npos);
    facts.*row.fact = row.value;
    const auto all = strings(environment.build(kNothing, facts).variables);
    CHECK(std::count(all.begin(), all.end(), row.name + ("=" + std::to_string(row.value))) == 1);
  }
}

TEST_CASE("the longest values of all variables fit") {
  const std::string path(107, 'p');
  const std::string listener(1500, 'l');
  ipc::Peer peer;
  peer.family = AF_UNIX;
  peer.uid = peer.gid = 0xffffffff;
  peer.pid = 0x7fffffff;
  child::Environment environment(0);
  child::ConnectionFacts facts{peer, {}, path, path, listener, ~std::uint64_t{0}, 0xffffffff};
  facts.listen_fds = true;
  facts.source_connections = 0xffffffff;
  const auto built = environment.build(kNothing, facts);
  CHECK(built.pid_field != nullptr);
  CHECK(strings(built.variables).back() == "LISTEN_PID=");
}

TEST_CASE("each name comes once, the connection's own value wins, and left-out names do not appear") {
  child::Environment environment(4);
  environment.leave_out({"TCPREMOTEIP", "REMOTE_HOST", nullptr});
  const char* const base[] = {"PATH=/bin", "PROTO=spoofed", "PROTOCOL=mine", "TCPREMOTEPORT=1", nullptr};
  const child::ConnectionFacts facts{
      ip(AF_INET, "192.0.2.7", 5000), ip(AF_INET, "127.0.0.1", 4040), "", "", "root/echo", 0x8f3a, 1};
  const std::vector<std::string> expected{"PATH=/bin",
                                          "PROTO=TCP",
                                          "PROTOCOL=mine",
                                          "TCPREMOTEPORT=5000",
                                          "TCPLOCALIP=127.0.0.1",
                                          "TCPLOCALPORT=4040",
                                          "REMOTE_ADDR=192.0.2.7",
                                          "REMOTE_PORT=5000",
                                          "BULKHEAD_CONN_ID=8f3a",
                                          "BULKHEAD_LISTENER=root/echo",
                                          "BULKHEAD_GENERATION=1",
                                          "BULKHEAD_STRESS=0"};
  for (int i = 0; i < 2; ++i) CHECK(strings(environment.build(base, facts).variables) == expected);
}
