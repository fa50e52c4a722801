// Which clients `kill --peer` means.
#include "master/control/peer_kill.h"

#include <catch2/catch.hpp>

namespace bulkhead::control {
namespace {

bool matches(const char* text, const ipc::Peer& peer) {
  const auto filter = PeerFilter::of(text);
  REQUIRE(filter);
  return filter->matches(peer);
}

const ipc::Peer kFour{AF_INET, 4711, 0, {192, 0, 2, 7}, 0, 0, 0};
const ipc::Peer kSix{AF_INET6, 4711, 0, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, 0, 0, 0};
const ipc::Peer kUnix{AF_UNIX, 0, 0, {}, 1000, 1000, 4711};

TEST_CASE("an address, a network and a port match") {
  for (const char* text : {"192.0.2.7", "192.0.2.0/24", "192.0.2.7:4711", "0.0.0.0/0"}) {
    INFO(text);
    CHECK(matches(text, kFour));
    CHECK_FALSE(matches(text, kSix));
    CHECK_FALSE(matches(text, kUnix));
  }
  for (const char* text : {"192.0.2.8", "192.0.3.0/24", "192.0.2.7:4712"}) CHECK_FALSE(matches(text, kFour));
  for (const char* text : {"2001:db8::7", "2001:db8::/32", "[2001:db8::7]:4711"}) CHECK(matches(text, kSix));
  for (const char* text : {"2001:db8::8", "2001:db9::/32", "[2001:db8::7]:80"}) CHECK_FALSE(matches(text, kSix));
}

TEST_CASE("a user of a Unix socket and one of its processes match") {
  CHECK(matches("unix:uid=1000", kUnix));
  CHECK(matches("unix:uid=1000,pid=4711", kUnix));
  CHECK_FALSE(matches("unix:uid=1000,pid=4712", kUnix));
  CHECK_FALSE(matches("unix:uid=1001", kUnix));
  CHECK_FALSE(matches("unix:uid=1000", kFour));
}

TEST_CASE("anything else is no client") {
  for (const char* text : {"", "host", "192.0.2.7:", ":", "192.0.2.7/33", "unix:uid=x", "[2001:db8::7]"}) {
    INFO(text);
    CHECK_FALSE(PeerFilter::of(text));
  }
}

}  // namespace
}  // namespace bulkhead::control
