#include "worker/ipc/message.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>

#include "worker/ipc/channel.h"
#include "worker/sys/enum_words.h"

using namespace bulkhead;

namespace {

ipc::ChannelPair channel() {
  auto pair = ipc::make_channel();
  REQUIRE(pair);
  return std::move(*pair);
}

ipc::Received receive_raw(const ipc::Packet& packet) {
  const ipc::ChannelPair pair = channel();
  REQUIRE(write(pair.worker.get(), packet.bytes, packet.size) == static_cast<ssize_t>(packet.size));
  ipc::Up message;
  return ipc::receive_up(pair.master.get(), message);
}

// Each alternative, as it is born, encoded and decoded.
template <class... Each>
void check_each(std::variant<Each...> out, std::set<ipc::MessageType>& types) {
  std::size_t index = 0;
  const auto check = [&](const auto& message) {
    CHECK(ipc::decode(ipc::packet_of(message), out));
    CHECK(out.index() == index++);
    CHECK(types.insert(message.kType).second);
  };
  (check(Each{}), ...);
}

template <class T>
bool is_taken(const T& message) {
  return ipc::message_in<T>(ipc::packet_of(message)).has_value();
}

}  // namespace

TEST_CASE("every message is distinct from every other") {
  std::set<ipc::MessageType> types;
  check_each(ipc::Down(), types);
  check_each(ipc::Up(), types);
}

TEST_CASE("a message goes up unchanged") {
  const ipc::ChannelPair pair = channel();
  ipc::Crash sent;
  sent.slot = 7;
  sent.use = 3;
  sent.max_rss_kb = 42;
  REQUIRE(ipc::send(pair.worker.get(), sent));
  ipc::Up got;
  REQUIRE(ipc::receive_up(pair.master.get(), got) == ipc::Received::message);
  REQUIRE(std::holds_alternative<ipc::Crash>(got));
  CHECK(std::memcmp(&sent, &std::get<ipc::Crash>(got), sizeof sent) == 0);
  CHECK(ipc::receive_up(pair.master.get(), got) == ipc::Received::nothing);
}

TEST_CASE("a message goes down unchanged, with its descriptor") {
  const ipc::ChannelPair pair = channel();
  const sys::Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ipc::Log sent;
  sent.use = ipc::LogUse::handlers;
  std::strcpy(sent.identity, "mine");
  REQUIRE(ipc::send(pair.master.get(), sent, file.get()));
  REQUIRE(ipc::send(pair.master.get(), ipc::Down(ipc::Signal{ipc::kAllSlots, 0, 15})));
  ipc::Down got;
  sys::Fd carried;
  REQUIRE(ipc::receive_down(pair.worker.get(), got, carried) == ipc::Received::message);
  CHECK(std::get<ipc::Log>(got).use == ipc::LogUse::handlers);
  CHECK(std::string(std::get<ipc::Log>(got).identity) == "mine");
  REQUIRE(carried);
  CHECK((fcntl(carried.get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(ipc::receive_down(pair.worker.get(), got, carried) == ipc::Received::message);
  CHECK(std::get<ipc::Signal>(got).signal == 15);
  CHECK_FALSE(carried);
}

TEST_CASE("a message has the bytes of its type and its own, and no others") {
  CHECK(ipc::packet_of(ipc::Ready{}).size == 4);
  CHECK(ipc::packet_of(ipc::Drained{}).size == 8);
}

TEST_CASE("a packet of another form is malformed, from either side") {
  ipc::Packet packet = ipc::packet_of(ipc::Paused{});
  SECTION("too short") {
    --packet.size;
    CHECK(receive_raw(packet) == ipc::Received::malformed);
  }
  SECTION("too long") {
    ++packet.size;
    CHECK(receive_raw(packet) == ipc::Received::malformed);
  }
  SECTION("less than a type") {
    packet.size = 3;
    CHECK(receive_raw(packet) == ipc::Received::malformed);
  }
  SECTION("longer than any") {
    const ipc::ChannelPair pair = channel();
    char big[ipc::kMaxPacket + 1] = {};
    std::memcpy(big, packet.bytes, packet.size);
    REQUIRE(write(pair.worker.get(), big, sizeof big) == sizeof big);
    ipc::Up message;
    CHECK(ipc::receive_up(pair.master.get(), message) == ipc::Received::malformed);
  }
  SECTION("an unknown type") {
    packet.bytes[0] = 63;
    CHECK(receive_raw(packet) == ipc::Received::malformed);
  }
  SECTION("one that goes the other way") {
    CHECK(receive_raw(ipc::packet_of(ipc::Retire{})) == ipc::Received::malformed);
  }
  SECTION("with a descriptor where none may come") {
    const ipc::ChannelPair pair = channel();
    const int before = dup(0);
    close(before);
    REQUIRE(ipc::send(pair.worker.get(), ipc::Ready{}, 0));
    ipc::Up message;
    CHECK(ipc::receive_up(pair.master.get(), message) == ipc::Received::malformed);
    const int after = dup(0);
    close(after);
    CHECK(before == after);  // it did not stay open
  }
}

TEST_CASE("a value out of its range is malformed") {
  CHECK(is_taken(ipc::Fail{ipc::Stage::loop, 0, ""}));
  CHECK_FALSE(is_taken(ipc::Fail{ipc::Stage::count_, 0, ""}));
  CHECK(is_taken(ipc::Paused{ipc::PauseReason::headers, 0}));
  CHECK_FALSE(is_taken(ipc::Paused{ipc::PauseReason::count_, 0}));
  CHECK_FALSE(is_taken(ipc::Retiring{ipc::RetireReason::count_, 0}));
  ipc::Log log;
  SECTION("use") {
    log.use = ipc::LogUse::count_;
  }
  SECTION("level") {
    log.level = static_cast<log::Level>(9);
  }
  SECTION("format") {
    log.format = static_cast<log::Format>(9);
  }
  SECTION("transport") {
    log.transport = static_cast<log::Transport>(9);
  }
  SECTION("moments") {
    log.moments = 4;
  }
  CHECK_FALSE(is_taken(log));
}

TEST_CASE("a Hello of another version is understood as far as its version, whatever its form") {
  const ipc::ChannelPair pair = channel();
  ipc::Hello hello;
  hello.version = ipc::kProtocolVersion + 1;
  ipc::Packet packet = ipc::packet_of(hello);
  SECTION("of the same size") {}
  SECTION("shorter") {
    packet.size = 8;
  }
  SECTION("longer") {
    packet.size = ipc::kMaxPacket;
  }
  REQUIRE(ipc::send_packet(pair.worker.get(), packet));
  ipc::Up got;
  REQUIRE(ipc::receive_up(pair.master.get(), got) == ipc::Received::message);
  CHECK(std::get<ipc::Hello>(got).version == ipc::kProtocolVersion + 1);
}

TEST_CASE("a Hello of this version has its form") {
  ipc::Hello hello;
  hello.version = ipc::kProtocolVersion;
  ipc::Packet packet = ipc::packet_of(hello);
  CHECK(receive_raw(packet) == ipc::Received::message);
  packet.size = 8;
  CHECK(receive_raw(packet) == ipc::Received::malformed);
}

TEST_CASE("the end of the peer is seen as closed") {
  ipc::ChannelPair pair = channel();
  pair.worker.reset();
  ipc::Up message;
  CHECK(ipc::receive_up(pair.master.get(), message) == ipc::Received::closed);
  CHECK_FALSE(ipc::send(pair.master.get(), ipc::Drain{}));
}

TEST_CASE("a failure is reported over a pipe as over a channel") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const sys::Fd from(ends[0]);
  sys::Fd to(ends[1]);
  ipc::send_failure(to.get(), ipc::Stage::exec, ENOENT);
  const ipc::FailureRead read = ipc::read_failure(from.get());
  REQUIRE(read.failure);
  CHECK(read.failure->stage == ipc::Stage::exec);
  CHECK(read.failure->error == ENOENT);
  REQUIRE(write(to.get(), "nonsense", 8) == 8);
  CHECK_FALSE(ipc::read_failure(from.get()).failure);
  to.reset();
  CHECK(ipc::read_failure(from.get()).got == 0);

  const ipc::ChannelPair pair = channel();
  ipc::send_failure(pair.worker.get(), ipc::Stage::module, 0, std::string(300, 'x'));
  ipc::Up message;
  REQUIRE(ipc::receive_up(pair.master.get(), message) == ipc::Received::message);
  CHECK(std::string(std::get<ipc::Fail>(message).text) == std::string(ipc::kTextSize - 1, 'x'));
}

TEST_CASE("every stage of a start has a text") {
  CHECK(ipc::stage_text(ipc::Stage::user) == "setting the user");
  CHECK(ipc::stage_text(ipc::Stage::loop) == "setting up its loop");
  CHECK(ipc::stage_text(static_cast<ipc::Stage>(999)) == "starting");
}

TEST_CASE("the words of an enum convert in both directions") {
  CHECK(ipc::kPauseWords.text(ipc::PauseReason::rate) == "max_connection_rate");
  CHECK(ipc::kPauseWords.find("max_connection_rate") == ipc::PauseReason::rate);
  CHECK_FALSE(ipc::kPauseWords.find("unknown"));
  CHECK(ipc::kPauseWords.text(static_cast<ipc::PauseReason>(99)).empty());
  CHECK(ipc::kPauseWords.text(ipc::PauseReason::count_, "?") == "?");
  CHECK(ipc::kPauseWords.size() == 8);
  constexpr sys::EnumWords<log::Format, sys::up_to(log::Format::json)> kFormats{"text", "json"};
  static_assert(kFormats.find("json") == log::Format::json);
  CHECK(sys::joined<log::kLevelWords> == "debug|info|warning|error");
  CHECK(sys::joined<log::kLevelWords, 2> == "debug|info");
}
