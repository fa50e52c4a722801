// daemon.max_connections from a worker's request to the lease in its table.
#include "master/procedure/places.h"

#include <catch2/catch.hpp>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using rig::Rig;
using namespace std::chrono_literals;

constexpr pid_t kFirst = 6'000'001;

// Two listeners with a worker each, and ten places, or as `keys` of the daemon say.
struct Two {
  explicit Two(const std::string& keys = R"("max_connections":10)", const std::string& of_b = "")
      : rig(rig::file_with(rig::listener_entry("a", R"("workers":1,"user":"root")") + "," +
                               rig::listener_entry("b", R"("workers":1,"user":"root")" + of_b),
                           keys)) {
    rig.on_wanted = [this](net::Listener& listener) { places.wanted(listener); };
    rig.listeners.on_made([this](net::Listener& listener) { places.made(listener); });
    places.use(rig.catalogue.config());
    rig.start();
    places.tick([this] { return earlier; });
  }
  // As many connections as it can get without asking.
  std::uint32_t fill(const std::string& path, std::uint32_t most = 1000) {
    std::uint32_t count = 0;
    while (count < most) {
      const ipc::Grant grant = rig.table_at(path).claim({rig.run_of(path + "/1"), 0, 0});
      if (grant.slot == ipc::kNoSlot) break;
      slots[path].push_back(grant.slot);
      ++count;
    }
    return count;
  }
  void free(const std::string& path, std::size_t count) {
    for (; count != 0; --count) {
      (void)rig.table_at(path).release(slots[path].back());
      slots[path].pop_back();
    }
  }
  // Asks, and takes what it gets.
  std::uint32_t more(const std::string& path) {
    rig.time += 10ms;
    rig.system.at(path + "/1").say(ipc::Wanted{});
    rig.settle();
    return fill(path);
  }
  [[nodiscard]] bool exhausted(const std::string& path) { return rig.listener_at(path).lease().exhausted; }

  Rig rig;
  std::uint32_t earlier = 0;
  std::map<std::string, std::vector<std::uint32_t>> slots;
  Places places{rig.loop, rig.listeners, [this] { return rig.time; }};
};

TEST_CASE("each listener begins with a share, and one that asks gets what the other does not use") {
  Two f;
  CHECK(f.fill("root/a") == 5);
  CHECK(f.more("root/a") > 0);
  while (f.more("root/a") != 0) {
  }
  CHECK(f.slots["root/a"].size() == 10);
  CHECK(f.exhausted("root/a"));
  CHECK(f.fill("root/b") == 0);
}

TEST_CASE("a place that one frees goes to the other, which waits") {
  Two f;
  while (f.fill("root/a") + f.more("root/a") != 0) {
  }
  REQUIRE(f.more("root/b") == 0);
  f.free("root/a", 1);
  f.rig.time += Places::kLook;
  CHECK(f.more("root/b") == 1);
  CHECK(f.places.figures()->taken == 10);
}

TEST_CASE("a listener whose workers no longer ask is not refused when it asks again") {
  Two f;
  while (f.fill("root/a") + f.more("root/a") != 0) {
  }
  REQUIRE(f.more("root/b") == 0);
  REQUIRE(f.exhausted("root/b"));
  f.rig.time += Places::kAsks;
  f.places.tick([] { return 0; });
  CHECK_FALSE(f.exhausted("root/b"));
}

TEST_CASE("reserved places stay free for a reserved listener") {
  Two f(R"("max_connections":10,"reserved_connections":3)", R"(,"reserved":true)");
  while (f.fill("root/a") + f.more("root/a") != 0) {
  }
  CHECK(f.slots["root/a"].size() == 7);
  CHECK(f.fill("root/b") + f.more("root/b") == 3);
  CHECK(f.more("root/b") == 0);
  f.free("root/a", 1);
  CHECK(f.more("root/b") == 1);
  CHECK(f.more("root/a") == 0);
}

TEST_CASE("connections of earlier daemons count") {
  Two f;
  f.earlier = 8;
  f.places.tick([&f] { return f.earlier; });
  CHECK(f.fill("root/a") + f.more("root/a") + f.fill("root/b") + f.more("root/b") == 2);
}

TEST_CASE("a table that claims more than its listener may have costs the others no more than that") {
  Two f(R"("max_connections":100)");
  f.rig.table_at("root/a").limit({20, 0, 0});
  (void)f.rig.listener_at("root/a").limit([] {
    config::Listener lower;
    lower.max_connections = 20;
    return lower;
  }());
  f.places.tick([] { return 0; });
  f.places.tick([] { return 0; });
  ipc::Counts forged;
  forged.used = 99'999;
  REQUIRE(
      ipc::fill_table(f.rig.listener_at("root/a").table_fd(), f.rig.listener_at("root/a").table().room(), {}, forged));
  while (f.fill("root/b") + f.more("root/b") != 0) {
  }
  CHECK(f.slots["root/b"].size() == 80);
}

TEST_CASE("without the option no table has a lease") {
  Two f("");
  CHECK_FALSE(f.rig.listener_at("root/a").lease().holds);
  CHECK_FALSE(f.places.figures());
  CHECK(f.fill("root/a", 100) == 100);
}

TEST_CASE("a lease ends with the option") {
  Two f;
  while (f.fill("root/a") + f.more("root/a") != 0) {
  }
  f.places.use(config::Config{});
  CHECK(f.fill("root/a", 100) == 100);
}

}  // namespace
}  // namespace bulkhead::procedure
