#include "master/sandbox/report.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace bulkhead::sandbox {
namespace {

constexpr long kNewest = 7;

Wall wall(const std::string& name, const Policy& policy, const Setting& setting) {
  const auto walls = walls_of(policy, setting);
  const auto found = std::find_if(walls.begin(), walls.end(), [&](const Wall& one) { return one.name == name; });
  REQUIRE(found != walls.end());
  return *found;
}

Policy basic() {
  Policy policy;
  policy.calls.list = CallList::common;
  return policy;
}

const Setting kListener{true, false, "nobody", kNewest};

}  // namespace

TEST_CASE("the walls of the preset basic") {
  for (const char* name : {"user", "privileges", "capabilities", "signals", "system calls"}) {
    INFO(name);
    CHECK(wall(name, basic(), kListener).holds == Holds::yes);
  }
  for (const char* name : {"files", "network", "memory"}) {
    INFO(name);
    CHECK(wall(name, basic(), kListener).holds == Holds::no);
  }
}

TEST_CASE("where new privileges are allowed, nothing that needs their absence holds") {
  Policy policy = basic();
  policy.new_privileges = true;
  for (const char* name : {"privileges", "capabilities", "signals", "system calls"}) {
    INFO(name);
    CHECK(wall(name, policy, kListener).holds == Holds::no);
  }
}

TEST_CASE("an older kernel holds less, and that is said") {
  const Setting old{true, false, "nobody", 2};
  CHECK(wall("signals", basic(), old).holds == Holds::no);
  CHECK(wall("signals", basic(), old).text.find("Linux 6.12") != std::string::npos);
  Policy policy = basic();
  policy.files.restricted = true;
  CHECK(wall("files", policy, old).holds == Holds::part);
  CHECK(wall("files", policy, kListener).holds == Holds::yes);
}

TEST_CASE("root, the daemon's own user, and a process") {
  CHECK(wall("user", basic(), {true, true, "root", kNewest}).holds == Holds::no);
  CHECK(wall("capabilities", basic(), {true, true, "root", kNewest}).holds == Holds::no);
  CHECK(wall("user", basic(), {true, false, "", kNewest}).holds == Holds::no);
  CHECK(wall("signals", basic(), {false, false, "nobody", kNewest}).holds == Holds::no);
}

TEST_CASE("what is private holds without scopes, and for root") {
  Policy policy = basic();
  CHECK(wall("private", policy, kListener).holds == Holds::no);
  policy.spaces = ipc::kPrivateTmp | ipc::kPrivatePids;
  CHECK(wall("private", policy, kListener).text.find("has an empty /tmp and /var/tmp; its own process") == 0);
  CHECK(wall("signals", policy, {true, false, "nobody", 2}).holds == Holds::yes);
  CHECK(wall("signals", policy, {false, false, "nobody", kNewest}).holds == Holds::yes);
  CHECK(wall("capabilities", policy, {true, true, "root", kNewest}).holds == Holds::yes);
}

TEST_CASE("lists are shown") {
  Policy policy = basic();
  policy.calls.allow = {"ptrace"};
  policy.calls.then = Then::log;
  policy.capabilities = 1U << 13U;
  policy.files = {{"/etc"}, {"/tmp"}, {"/usr"}, true, false};
  policy.ports = {{53, 443}, {}, true};
  CHECK(wall("system calls", policy, kListener).text.find("allowed besides: ptrace") != std::string::npos);
  CHECK(wall("system calls", policy, kListener).holds == Holds::part);
  CHECK(wall("capabilities", policy, kListener).text == "has only CAP_NET_RAW");
  CHECK(wall("files", policy, kListener).text == "executes /usr; reads /etc; changes /tmp; no others");
  CHECK(wall("network", policy, kListener).text.find("connects to 53, 443; listens on no port") != std::string::npos);
  policy.network = false;
  CHECK(wall("network", policy, kListener).holds == Holds::yes);
}

}  // namespace bulkhead::sandbox
