// Addresses on their way to the kernel and back.
#include "master/net/socket_address.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <variant>

#include "master/config/listen_address.h"
#include "worker/ipc/peer.h"

namespace bulkhead::net {
namespace {

SocketAddress address_of(const std::string& text) {
  return socket_address(std::get<config::ListenAddress>(config::parse_listen_address(text, "/")));
}

TEST_CASE("IP addresses are converted exactly") {
  for (const char* text : {"127.0.0.1:4040", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:80"}) {
    INFO(text);
    const SocketAddress address = address_of(text);
    CHECK(ipc::PeerText(ipc::peer_of(address.storage)).view() == text);
    CHECK(address.length == (text[0] == '[' ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)));
  }
}

TEST_CASE("paths end in a NUL, abstract names begin with one and are not terminated") {
  const std::size_t header = offsetof(sockaddr_un, sun_path);
  struct Length {
    std::string path;
    std::size_t length;
  };
  const Length rows[] = {{"/x", header + 3},
                         {"/" + std::string(106, 'x'), header + 108},
                         {"@x", header + 2},
                         {"@" + std::string(107, 'x'), header + 108}};
  for (const Length& row : rows) {
    INFO(row.path);
    const SocketAddress address = address_of("unix:" + row.path);
    CHECK(address.length == row.length);
    sockaddr_un un{};
    std::memcpy(&un, &address.storage, sizeof un);
    CHECK((un.sun_path[0] == '\0') == (row.path[0] == '@'));
    CHECK(unix_path(address) == row.path);
  }
}

TEST_CASE("a Unix socket without a name has an empty path") {
  SocketAddress address;
  address.storage.ss_family = AF_UNIX;
  address.length = sizeof(sa_family_t);
  CHECK(unix_path(address).empty());
}

}  // namespace
}  // namespace bulkhead::net
