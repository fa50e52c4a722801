// Which control sockets bulkheadctl tries.
#include "master/ctl/find_socket.h"

#include <catch2/catch.hpp>

namespace bulkhead::ctl {
namespace {

using Paths = std::vector<std::string>;

TEST_CASE("what the caller names is the only one") {
  CHECK(socket_candidates("/a", "/b", 1000, "/run/user/1000") == Paths{"/a"});
  CHECK(socket_candidates("", "/b", 1000, "/run/user/1000") == Paths{"/b"});
  CHECK(socket_candidates("", "/b", 0, nullptr) == Paths{"/b"});
}

TEST_CASE("otherwise it is the user's daemon, then the system's") {
  const std::string system = "/run/bulkhead/control.sock";
  CHECK(socket_candidates("", nullptr, 1000, "/run/user/1000") ==
        Paths{"/run/user/1000/bulkhead/control.sock", system});
  CHECK(socket_candidates("", "", 1000, nullptr) == Paths{"/tmp/bulkhead-1000/control.sock", system});
  CHECK(socket_candidates("", nullptr, 0, "/run/user/0") == Paths{system});
}

}  // namespace
}  // namespace bulkhead::ctl
