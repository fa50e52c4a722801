#include "worker/sys/fd_passing.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

using namespace bulkhead;

namespace {

struct Pair {
  sys::Fd near;
  sys::Fd far;
};

Pair make_pair(int type) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  return {sys::Fd(ends[0]), sys::Fd(ends[1])};
}

int lowest_free() {
  const sys::Fd probe(dup(0));
  return probe.get();
}

std::span<const char> bytes(const std::string& text) {
  return {text.data(), text.size()};
}

// Any number of descriptors, as only a careless or hostile peer sends them.
void send_many(int socket, const std::vector<int>& descriptors) {
  char byte = 'x';
  iovec part{&byte, 1};
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
  REQUIRE(sendmsg(socket, &header, 0) == 1);
}

}  // namespace

TEST_CASE("a descriptor is passed with a datagram, and is close-on-exec") {
  const Pair pair = make_pair(SOCK_SEQPACKET);
  const sys::Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  REQUIRE(sys::send_datagram(pair.near.get(), bytes("hello"), null.get()));
  char buffer[16];
  const sys::Datagram got = sys::receive_with_descriptor(pair.far.get(), buffer);
  CHECK(std::string(buffer, static_cast<std::size_t>(got.size)) == "hello");
  REQUIRE(got.descriptor);
  CHECK((fcntl(got.descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_FALSE(got.is_cut);
  CHECK_FALSE(got.has_more);
}

TEST_CASE("a datagram without a descriptor has none") {
  const Pair pair = make_pair(SOCK_SEQPACKET);
  REQUIRE(sys::send_datagram(pair.near.get(), bytes("hello")));
  char buffer[16];
  const sys::Datagram got = sys::receive_with_descriptor(pair.far.get(), buffer);
  CHECK(got.size == 5);
  CHECK_FALSE(got.descriptor);
  CHECK(got.sender == 0);
}

TEST_CASE("surplus descriptors do not stay open") {
  const Pair pair = make_pair(SOCK_SEQPACKET);
  const int before = lowest_free();
  send_many(pair.near.get(), std::vector<int>(GENERATE(2U, 3U, 10U), 0));
  char buffer[16];
  {
    const sys::Datagram got = sys::receive_with_descriptor(pair.far.get(), buffer);
    CHECK(got.has_more);
    CHECK(got.descriptor.get() == before);
    CHECK(lowest_free() == before + 1);
  }
  CHECK(lowest_free() == before);
}

TEST_CASE("a receiver that asks for the sender gets no descriptor") {
  const Pair pair = make_pair(SOCK_DGRAM);
  const int on = 1;
  REQUIRE(setsockopt(pair.far.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  const int before = lowest_free();
  send_many(pair.near.get(), {0, 0});
  char buffer[16];
  const sys::Datagram got = sys::receive_with_sender(pair.far.get(), buffer);
  CHECK(got.size == 1);
  CHECK(got.sender == getpid());
  CHECK(got.has_more);
  CHECK_FALSE(got.descriptor);
  CHECK(lowest_free() == before);
}

TEST_CASE("a datagram longer than the buffer is cut, and marked so") {
  const Pair pair = make_pair(SOCK_DGRAM);
  REQUIRE(sys::send_datagram(pair.near.get(), bytes("0123456789")));
  char buffer[4];
  const sys::Datagram got = sys::receive_with_descriptor(pair.far.get(), buffer);
  CHECK(got.size == 4);
  CHECK(got.is_cut);
}

TEST_CASE("nothing to receive and no receiver are reported at once") {
  Pair pair = make_pair(SOCK_SEQPACKET);
  char buffer[4];
  CHECK(sys::receive_with_descriptor(pair.far.get(), buffer).size == -1);
  CHECK(errno == EAGAIN);
  pair.far.reset();
  CHECK_FALSE(sys::send_datagram(pair.near.get(), bytes("x")));
  CHECK(errno == EPIPE);
}
