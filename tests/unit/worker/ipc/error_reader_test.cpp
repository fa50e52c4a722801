#include "worker/ipc/error_reader.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "worker/ipc/error_pair.h"
#include "worker/log/log.h"

using namespace bulkhead;

namespace {

struct Fixture {
  Fixture() {
    auto made = ipc::make_error_pair();
    REQUIRE(made);
    pair = std::move(*made);
    log::configure({-1, log::Format::text, log::Level::error, "test"});
  }
  ~Fixture() { log::configure({}); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void say(const std::string& words) const {
    REQUIRE(send(pair.write.get(), words.data(), words.size(), MSG_DONTWAIT) == static_cast<ssize_t>(words.size()));
  }
  ipc::ErrorPair pair;
};

}  // namespace

TEST_CASE("a write arrives whole, with the pid from the kernel") {
  const Fixture fixture;
  std::string buffer(ipc::kMaxErrorWrite, '\0');
  ipc::ErrorWrite write;
  CHECK_FALSE(ipc::receive_error(fixture.pair.read.get(), buffer.data(), write));
  fixture.say("words\n");
  REQUIRE(ipc::receive_error(fixture.pair.read.get(), buffer.data(), write));
  CHECK(write.bytes == "words\n");
  CHECK(write.sender == getpid());
  CHECK_FALSE(ipc::receive_error(fixture.pair.read.get(), buffer.data(), write));
}

TEST_CASE("a process that writes while no process reads waits for one second and continues") {
  const Fixture fixture;
  while (send(fixture.pair.write.get(), "x", 1, MSG_DONTWAIT) == 1) {
  }
  CHECK(errno == EAGAIN);
  CHECK((fcntl(fixture.pair.write.get(), F_GETFL) & O_NONBLOCK) == 0);
  CHECK(write(fixture.pair.write.get(), "x", 1) == -1);
  CHECK(errno == EAGAIN);
}

TEST_CASE("a write that is too long fails, the longest possible one arrives") {
  const Fixture fixture;
  std::string buffer(ipc::kMaxErrorWrite, '\0');
  const std::string most(ipc::kMaxErrorWrite - 64, 'x');
  fixture.say(most);
  ipc::ErrorWrite write;
  REQUIRE(ipc::receive_error(fixture.pair.read.get(), buffer.data(), write));
  CHECK(write.bytes.size() == most.size());
  const std::string more(ipc::kMaxErrorWrite, 'x');
  CHECK(send(fixture.pair.write.get(), more.data(), more.size(), MSG_DONTWAIT) == -1);
  CHECK(errno == EMSGSIZE);
}

TEST_CASE("a sender is looked up by its pid, then by its session") {
  const Fixture fixture;
  std::vector<pid_t> asked;
  ipc::ErrorReader reader(fixture.pair.read.get(), "root/test", 0, [&](pid_t leader) -> std::optional<ipc::Origin> {
    asked.push_back(leader);
    return std::nullopt;
  });
  fixture.say("words\n");
  reader.drain(0);
  std::vector<pid_t> expected{getpid()};
  if (getsid(0) > 1) expected.push_back(getsid(0));
  CHECK(asked == expected);
}

TEST_CASE("a flood is read in parts, a limited amount in each time slice") {
  const Fixture fixture;
  int lines = 0;
  ipc::ErrorReader reader(fixture.pair.read.get(), "root/test", 0, [](pid_t leader) -> std::optional<ipc::Origin> {
    return ipc::Origin{leader, 1, {}};
  });
  reader.output().watch([&](const ipc::Origin&, std::string_view) { ++lines; });
  std::uint32_t sent = 0;
  bool enough = false;
  while (!enough && sent < 2 * ipc::ErrorReader::kSliceWrites) {
    while (sent < 2 * ipc::ErrorReader::kSliceWrites && send(fixture.pair.write.get(), "x\n", 2, MSG_DONTWAIT) == 2)
      ++sent;
    enough = reader.turn(1'000'000'000);
  }
  CHECK(enough);
  CHECK(lines == static_cast<int>(ipc::ErrorReader::kSliceWrites));
  const int before = lines;
  CHECK(reader.turn(1'050'000'000));
  CHECK(lines == before);
  CHECK_FALSE(reader.turn(1'100'000'000));
  CHECK(lines > before);
}
