// How much of a client's address a line and a title show.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "worker/connection_title.h"
#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/sys/fd.h"

namespace bulkhead::ipc {
namespace {

using log::Addresses;

Peer peer_at(int family, const char* address) {
  Peer peer;
  peer.family = static_cast<std::uint16_t>(family);
  peer.port = 4711;
  REQUIRE(inet_pton(family, address, peer.address) == 1);
  return peer;
}

Peer local_user() {
  Peer peer;
  peer.family = AF_UNIX;
  peer.uid = 1000;
  peer.pid = 812;
  return peer;
}

// The fields of a line with that peer.
std::string fields(const Peer& peer, Addresses shown) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const sys::Fd read(ends[0]);
  const sys::Fd write(ends[1]);
  log::Sink sink;
  sink.configure({.fd = write.get(), .program = "test", .addresses = shown});
  log::Line line(log::Level::info, {"root/a", sink});
  add_peer(line, "peer", peer);
  line.write();
  char text[200] = {};
  const auto length = ::read(read.get(), text, sizeof text - 1);
  REQUIRE(length > 0);
  const std::string all(text, static_cast<std::size_t>(length) - 1);
  return all.substr(all.find("root/a: ") + 8);
}

std::string title(const Peer& peer, Addresses shown) {
  return std::string(worker::ConnectionTitle(0x2f, peer, "echo", shown).view());
}

TEST_CASE("a line has all of an address, its network, or nothing") {
  const Peer four = peer_at(AF_INET, "192.0.2.77");
  CHECK(fields(four, Addresses::full) == " peer=192.0.2.77:4711");
  CHECK(fields(four, Addresses::prefix) == " peer=192.0.2.0/24");
  CHECK(fields(four, Addresses::none).empty());
  const Peer six = peer_at(AF_INET6, "2001:db8:1:2:3:4:5:6");
  CHECK(fields(six, Addresses::full) == " peer=[2001:db8:1:2:3:4:5:6]:4711");
  CHECK(fields(six, Addresses::prefix) == " peer=2001:db8:1:2::/64");
  CHECK(fields(six, Addresses::none).empty());
  CHECK(fields(local_user(), Addresses::full) == " peer=unix:uid=1000,pid=812");
  CHECK(fields(local_user(), Addresses::prefix) == " peer=unix:uid=1000");
  CHECK(fields(local_user(), Addresses::none).empty());
}

TEST_CASE("so has a title") {
  const Peer four = peer_at(AF_INET, "192.0.2.77");
  CHECK(title(four, Addresses::full) == "bulkheadd: connection 2f 192.0.2.77 echo");
  CHECK(title(four, Addresses::prefix) == "bulkheadd: connection 2f 192.0.2.0/24 echo");
  CHECK(title(four, Addresses::none) == "bulkheadd: connection 2f echo");
  CHECK(title(local_user(), Addresses::prefix) == "bulkheadd: connection 2f unix:uid=1000 echo");
}

TEST_CASE("a source is shown no more exactly than a network") {
  const Peer four = peer_at(AF_INET, "192.0.2.77");
  CHECK(SourceText(shown_prefix(source_of(four, 32, 64))).view() == "192.0.2.0/24");
  CHECK(SourceText(shown_prefix(source_of(four, 16, 64))).view() == "192.0.0.0/16");
  const Peer six = peer_at(AF_INET6, "2001:db8:1:2:3:4:5:6");
  CHECK(SourceText(shown_prefix(source_of(six, 32, 128))).view() == "2001:db8:1:2::/64");
  CHECK(SourceText(shown_prefix(source_of(six, 32, 48))).view() == "2001:db8:1::/48");
  CHECK(SourceText(shown_prefix(source_of(local_user(), 32, 64))).view() == "unix:uid=1000");
}

}  // namespace
}  // namespace bulkhead::ipc
