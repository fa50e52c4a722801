#include "worker/ipc/message.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "worker/ipc/channel.h"

using namespace bulkhead;

TEST_CASE("A message arrives as it was sent, with its descriptor") {
  auto pair = ipc::make_channel();
  REQUIRE(pair);
  ipc::Message sent;
  sent.type = ipc::MessageType::crash;
  sent.age_ns = 42;
  std::strcpy(sent.text, "1.2.3");
  const sys::Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  REQUIRE(ipc::send(pair->master.get(), sent, file.get()));
  ipc::Message got;
  sys::Fd carried;
  REQUIRE(ipc::receive(pair->worker.get(), got, &carried) == ipc::Received::message);
  CHECK(std::memcmp(&sent, &got, sizeof got) == 0);
  CHECK(carried);
  CHECK((fcntl(carried.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(ipc::receive(pair->worker.get(), got) == ipc::Received::nothing);
}

TEST_CASE("What does not fit the form is malformed, whoever sent it") {
  auto pair = ipc::make_channel();
  REQUIRE(pair);
  ipc::Message message;
  message.type = ipc::MessageType::ready;
  SECTION("too short") {
    REQUIRE(write(pair->worker.get(), &message, 10) == 10);
    CHECK(ipc::receive(pair->master.get(), message) == ipc::Received::malformed);
  }
  SECTION("too long") {
    char big[sizeof message + 1] = {};
    REQUIRE(write(pair->worker.get(), big, sizeof big) == sizeof big);
    CHECK(ipc::receive(pair->master.get(), message) == ipc::Received::malformed);
  }
  SECTION("with a descriptor where none may come") {
    const int before = dup(0);
    close(before);
    REQUIRE(ipc::send(pair->worker.get(), message, 0));
    CHECK(ipc::receive(pair->master.get(), message) == ipc::Received::malformed);
    const int after = dup(0);
    close(after);
    CHECK(before == after);  // it did not stay open
  }
}

TEST_CASE("The end of the peer is seen as closed") {
  auto pair = ipc::make_channel();
  REQUIRE(pair);
  pair->worker.reset();
  ipc::Message message;
  CHECK(ipc::receive(pair->master.get(), message) == ipc::Received::closed);
  CHECK_FALSE(ipc::send(pair->master.get(), message));
}

TEST_CASE("Every stage of a start has its words") {
  CHECK(std::string(ipc::stage_text(ipc::Stage::user)) == "setting the user");
  CHECK(std::string(ipc::stage_text(ipc::Stage::loop)) == "setting up its loop");
  CHECK(std::string(ipc::stage_text(static_cast<ipc::Stage>(999))) == "starting");
}
