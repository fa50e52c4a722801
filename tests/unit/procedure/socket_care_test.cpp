// Listening sockets that are shut down, on the rig's real sockets.
#include "master/procedure/socket_care.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace std::chrono_literals;
using namespace rig;

struct Care {
  explicit Care(const std::string& keys) : rig(file_with(listener_entry("echo", keys))) { rig.start(); }
  [[nodiscard]] const net::ListeningSocket& socket() { return rig.listener_at("root/echo").sockets().front(); }
  [[nodiscard]] bool listens() { return net::fault_of(socket()) == net::Fault::none; }
  void shut_down() { ::shutdown(socket().fd.get(), SHUT_RDWR); }

  Rig rig;
  SocketCare care{rig.listeners, rig.children, rig.narrator, [this] { return rig.time; }};
};

TEST_CASE("a socket that was shut down listens again at its address") {
  Care test("");
  const std::string before = test.socket().text;
  test.shut_down();
  CHECK_FALSE(test.listens());
  test.care.look();
  CHECK(test.listens());
  CHECK(test.socket().text == before);
  CHECK(test.rig.listener_at("root/echo").repairs() == 1);
}

TEST_CASE("one that is shut down again and again is repaired once a second") {
  Care test("");
  test.shut_down();
  test.care.look();
  test.shut_down();
  test.care.look();
  CHECK_FALSE(test.listens());
  test.rig.time += 1s;
  test.rig.settle();  // the workers hear of the first repair: until then a message to them holds the socket's name
  test.care.look();
  CHECK(test.listens());
}

TEST_CASE("a listener that is ending or on trial is left alone") {
  Care test("");
  test.shut_down();
  test.rig.listener_at("root/echo").gate().hold(net::Gate::Holder::trial);
  test.care.look();
  CHECK_FALSE(test.listens());
  test.rig.listener_at("root/echo").gate().release(net::Gate::Holder::trial);
  test.rig.listener_at("root/echo").set_end_phase(net::EndPhase::closing);
  test.care.look();
  CHECK_FALSE(test.listens());
  test.rig.listener_at("root/echo").set_end_phase(net::EndPhase::idle);
}

}  // namespace
}  // namespace bulkhead::procedure
