#include "worker/ipc/source_key.h"

#include <arpa/inet.h>

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead::ipc;

namespace {

Peer peer(const char* address) {
  Peer out;
  out.family = std::string(address).find(':') == std::string::npos ? AF_INET : AF_INET6;
  REQUIRE(inet_pton(out.family, address, out.address) == 1);
  out.port = 1234;
  return out;
}

std::string text(const Peer& client, std::uint32_t prefix4 = 32, std::uint32_t prefix6 = 64) {
  return std::string(SourceText(source_of(client, prefix4, prefix6)).view());
}

}  // namespace

TEST_CASE("a source is the address cut to its prefix") {
  CHECK(text(peer("192.0.2.7")) == "192.0.2.7/32");
  CHECK(text(peer("192.0.2.7"), 24) == "192.0.2.0/24");
  CHECK(text(peer("192.0.2.255"), 25) == "192.0.2.128/25");
  CHECK(text(peer("192.0.2.7"), 0) == "0.0.0.0/0");
  CHECK(text(peer("2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2::/64");
  CHECK(text(peer("2001:db8:1:2:3:4:5:6"), 32, 56) == "2001:db8:1::/56");
  CHECK(text(peer("2001:db8:1:2:3:4:5:6"), 32, 128) == "2001:db8:1:2:3:4:5:6/128");
}

TEST_CASE("one /64 is one source, its neighbour another; the port never matters") {
  Peer first = peer("2001:db8:0:1::1");
  Peer second = peer("2001:db8:0:1:ffff:ffff:ffff:ffff");
  second.port = 9;
  CHECK(source_of(first, 32, 64) == source_of(second, 32, 64));
  CHECK_FALSE(source_of(first, 32, 64) == source_of(peer("2001:db8:0:2::1"), 32, 64));
}

TEST_CASE("the source of a Unix socket client is its user") {
  Peer client;
  client.family = AF_UNIX;
  client.uid = 70'001;
  client.pid = 5;
  CHECK(text(client) == "unix:uid=70001");
  Peer other = client;
  other.pid = 6;
  CHECK(source_of(client, 32, 64) == source_of(other, 32, 64));
}

TEST_CASE("a source lies within every prefix of its own address, and in none that is longer") {
  const SourceKey source = source_of(peer("192.0.2.7"), 32, 64);
  CHECK(within(source, source));
  CHECK(within(source, source_of(peer("192.0.2.0"), 24, 64)));
  CHECK(within(source, source_of(peer("0.0.0.0"), 0, 64)));
  CHECK_FALSE(within(source, source_of(peer("192.0.3.0"), 24, 64)));
  CHECK_FALSE(within(source_of(peer("192.0.2.7"), 24, 64), source));
  CHECK_FALSE(within(source, source_of(peer("::"), 0, 0)));
}

TEST_CASE("the hash is SipHash-2-4: the test vector of its paper") {
  HashKey key{{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
  unsigned char bytes[15];
  for (unsigned char i = 0; i < 15; ++i) bytes[i] = i;
  CHECK(siphash(key, bytes, sizeof bytes) == 0xa129ca6149be45e5);
}
