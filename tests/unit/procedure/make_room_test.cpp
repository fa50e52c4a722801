// Which connections are ended where on_full is drop_oldest_idle. The kernel's answers are scripted.
#include "master/procedure/make_room.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using rig::Rig;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

constexpr pid_t kFirst = 6'000'001;

// A listener with room for four connections, all of them taken, and a client that waits.
struct Full {
  Full()
      : rig(rig::file_with(rig::listener_entry(
            "echo",
            R"("workers":1,"user":"root","listen":"127.0.0.1:0","max_connections":4,"on_full":"drop_oldest_idle")"))) {
    rig.start();
    for (pid_t i = 0; i < 4; ++i) slots.push_back(rig.connect("root/echo/1", kFirst + i));
    wait();
  }
  void wait() { (void)rig.table_at("root/echo").claim({1, 1, 0}); }
  Words turn() {
    (void)rig.system.take_deeds();
    rig.system.at("root/echo/1").heard.clear();
    again = room.turn();
    rig.settle();
    return rig.system.at("root/echo/1").heard;
  }
  std::string end(std::size_t index) { return "end " + std::to_string(slots[index]); }

  Rig rig;
  std::vector<std::uint32_t> slots;
  std::map<pid_t, std::chrono::seconds> idle;
  std::uint32_t queued = 1;
  std::optional<std::chrono::nanoseconds> again;
  MakeRoom room{
      rig.listeners,
      rig.children,
      {[this](const ipc::Slot& slot) {
         return ipc::TcpLook{ipc::TcpLook::State::open, std::chrono::nanoseconds(idle[slot.pid]).count(), 0, 0};
       },
       [this](const net::Listener&) { return queued; }}};
};

TEST_CASE("the connection that has been idle for longest makes room") {
  Full f;
  f.idle = {{kFirst, 20s}, {kFirst + 1, 40s}, {kFirst + 2, 30s}};
  CHECK(f.turn() == Words{f.end(1)});
  CHECK(f.again == MakeRoom::kPause);
}

TEST_CASE("nobody is dropped who has been idle for less than ten seconds, or while there is room, or for nobody") {
  Full f;
  f.idle = {{kFirst, 9s}};
  CHECK(f.turn().empty());
  CHECK(f.again == MakeRoom::kPause);
  f.idle = {{kFirst, 11s}};
  f.queued = 0;
  CHECK(f.turn().empty());
  CHECK_FALSE(f.again);
  f.queued = 1;
  (void)f.rig.table_at("root/echo").end(f.slots[3], ipc::EndCount::normal);
  CHECK(f.turn().empty());
}

TEST_CASE("as many are dropped as wait, less those that are leaving already") {
  Full f;
  f.idle = {{kFirst, 20s}, {kFirst + 1, 40s}, {kFirst + 2, 30s}, {kFirst + 3, 10s}};
  f.queued = 3;
  f.rig.table_at("root/echo").slot(f.slots[0]).lifetime = ipc::Lifetime::terminated;
  CHECK(f.turn() == Words{f.end(1), f.end(2)});
}

TEST_CASE("an adopted connection is dropped by the master, and once") {
  Full f;
  f.idle = {{kFirst, 20s}, {kFirst + 1, 40s}};
  f.rig.end("root/echo/1");
  f.wait();
  CHECK(f.turn().empty());
  CHECK(f.rig.system.deeds() == Words{"SIGTERM 6000002"});
  CHECK(f.turn().empty());
  CHECK(f.rig.system.deeds().empty());
}

}  // namespace
}  // namespace bulkhead::procedure
