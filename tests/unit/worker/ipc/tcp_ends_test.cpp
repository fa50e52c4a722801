#include "worker/ipc/tcp_ends.h"

#include <catch2/catch.hpp>

namespace bulkhead::ipc {

namespace {

struct Case {
  const char* what;
  TcpEnd end;  // of a client that sent 100 bytes and got 50, in the words of Linux
  bool we_closed;
  std::uint32_t header;
  std::uint64_t in;
  std::uint64_t out;
};

constexpr Case kCases[] = {
    {"the client closed, and its FIN was read", {1, 101, 0, 51, 50}, false, 0, 100, 50},
    {"the client closed, and its FIN was not read", {1, 101, 1, 51, 50}, false, 0, 100, 50},
    {"we closed, and its FIN came with the acknowledgement of ours", {1, 101, 1, 51, 50}, true, 0, 100, 50},
    {"we closed, and its FIN had not come", {1, 100, 0, 51, 50}, true, 0, 100, 50},
    {"we closed, and nobody had sent anything", {1, 0, 0, 1, 0}, true, 0, 0, 0},
    {"the client reset it", {1, 100, 0, 50, 50}, false, 0, 100, 50},
    {"the client reset it with bytes under way", {1, 100, 0, 20, 50}, false, 0, 100, 20},
    {"we closed with bytes unread, which is a reset", {1, 100, 2, 50, 50}, false, 0, 100, 50},
    {"a PROXY header came first", {1, 101, 0, 51, 50}, false, 28, 72, 50},
    {"a header longer than all", {1, 10, 0, 1, 0}, false, 28, 0, 0},
};

}  // namespace

TEST_CASE("the bytes of a connection are those of its data, without a FIN or a header") {
  for (const Case& one : kCases) {
    INFO(one.what);
    const Bytes bytes = bytes_of(one.end, one.we_closed, one.header);
    CHECK(bytes.in == one.in);
    CHECK(bytes.out == one.out);
  }
}

}  // namespace bulkhead::ipc
