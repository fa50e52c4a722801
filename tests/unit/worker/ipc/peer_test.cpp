#include "worker/ipc/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

using namespace bulkhead;

namespace {

ipc::Peer v6(const char* text, std::uint16_t port, std::uint32_t scope = 0) {
  sockaddr_storage storage{};
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  in6.sin6_scope_id = scope;
  inet_pton(AF_INET6, text, &in6.sin6_addr);
  std::memcpy(&storage, &in6, sizeof in6);
  return ipc::peer_of(storage);
}

std::string text(const ipc::Peer& peer) {
  return std::string(ipc::PeerText(peer).view());
}

}  // namespace

TEST_CASE("peers are written as in the control protocol") {
  CHECK(text(v6("2001:db8::1", 5000)) == "[2001:db8::1]:5000");
  CHECK(text(v6("fe80::1", 1, 3)) == "[fe80::1%3]:1");
  ipc::Peer local;
  local.family = AF_UNIX;
  local.uid = 1000;
  local.pid = 812;
  CHECK(text(local) == "unix:uid=1000,pid=812");
}

TEST_CASE("a v4-mapped peer is an IPv4 peer everywhere") {
  const ipc::Peer peer = v6("::ffff:192.0.2.7", 80);
  CHECK(peer.family == AF_INET);
  CHECK(text(peer) == "192.0.2.7:80");
}

TEST_CASE("the longest texts fit") {
  ipc::Peer peer = v6("1111:2222:3333:4444:5555:6666:7777:8888", 65535, 4294967295U);
  CHECK(text(peer) == "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535");
}
