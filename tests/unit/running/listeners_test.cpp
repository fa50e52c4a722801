// Real sockets on abstract names, without workers that accept.
#include "master/running/listeners.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::running {
namespace {

using namespace rig;
using Words = std::vector<std::string>;

struct Fixture {
  config::Config config;
  net::InheritedSockets inherited;
  Listeners listeners{inherited};
  Words seen;

  explicit Fixture(const std::string& children) : config(config_of(file_with(children))) {
    for (const char* who : {"a", "b"}) {
      listeners.on_made([this, who](net::Listener& l) { seen.push_back("made " + l.path() + " " + who); });
      listeners.on_bound([this, who](const net::Listener& l) { seen.push_back("bound " + l.path() + " " + who); });
      listeners.on_forgotten([this, who](net::Listener& l) { seen.push_back("gone " + l.path() + " " + who); });
    }
  }
  void add() { REQUIRE_FALSE(listeners.add(config.root, "root")); }
  [[nodiscard]] const config::Node& node(std::size_t child) const { return config.root.children[child]; }
};

const std::string kInner =
    R"({"id":"web","type":"supervisor","children":[)" + listener_entry("x") + "," + listener_entry("y") + "]}";

TEST_CASE("all listeners of an entry are created and bound, nested ones first") {
  Fixture f(kInner + "," + listener_entry("echo"));
  f.add();
  CHECK(f.seen == Words{"made root/web/x a", "made root/web/x b", "bound root/web/x a", "bound root/web/x b",
                        "made root/web/y a", "made root/web/y b", "bound root/web/y a", "bound root/web/y b",
                        "made root/echo a", "made root/echo b", "bound root/echo a", "bound root/echo b"});
  CHECK(f.listeners.at("root/echo")->is_open());
  CHECK(f.listeners.at("root/echo")->number() == 2);
  CHECK(f.listeners.at("root/web") == nullptr);
  CHECK(f.listeners.below("root/web").size() == 2);
  CHECK(f.listeners.all().size() == 3);
}

TEST_CASE("an address in use is an error that names it, and listeners opened before it remain") {
  Fixture f(listener_entry("echo") + "," + listener_entry("other"));
  f.add();
  Fixture second(listener_entry("third") + "," + listener_entry("echo"));
  const auto error = second.listeners.add(second.config.root, "root");
  REQUIRE(error);
  CHECK(error->code == EADDRINUSE);
  CHECK(second.listeners.at("root/third")->is_open());
  CHECK_FALSE(second.listeners.at("root/echo")->is_open());
}

TEST_CASE("a worker finds its listener in its current state") {
  Fixture f(listener_entry("echo"));
  f.add();
  net::Listener* const before = f.listeners.at("root/echo");
  f.seen.clear();
  auto found = f.listeners.open_for_worker(f.node(0), "root/echo");
  REQUIRE(found);
  CHECK(*found == before);
  CHECK(f.seen.empty());
}

TEST_CASE("a listener that was stopped is the same one, opened again") {
  Fixture f(listener_entry("echo"));
  f.add();
  net::Listener* const before = f.listeners.at("root/echo");
  before->close();
  f.seen.clear();
  auto found = f.listeners.open_for_worker(f.node(0), "root/echo");
  REQUIRE(found);
  CHECK(*found == before);
  CHECK(before->is_open());
  CHECK(f.seen == Words{"bound root/echo a", "bound root/echo b"});
}

TEST_CASE("a deleted listener is created again with another number") {
  Fixture f(listener_entry("echo"));
  f.add();
  f.listeners.forget("root/echo");
  auto found = f.listeners.open_for_worker(f.node(0), "root/echo");
  REQUIRE(found);
  CHECK((*found)->is_open());
  CHECK((*found)->number() == 1);
}

TEST_CASE("another entry at the same path creates another listener, unless describe() gave it that entry") {
  Fixture f(listener_entry("echo"));
  f.add();
  Fixture next(listener_entry("echo", R"("listen":"unix:@next")"));
  f.listeners.describe("root/echo", next.node(0));
  REQUIRE(f.listeners.open_for_worker(next.node(0), "root/echo"));
  CHECK(f.listeners.at("root/echo")->number() == 0);
  REQUIRE(f.listeners.open_for_worker(f.node(0), "root/echo"));
  CHECK(f.listeners.at("root/echo")->number() == 1);
}

TEST_CASE("forgetting covers the path and below, and observers still see each listener whole") {
  Fixture f(kInner + "," + listener_entry("web2"));
  f.add();
  f.seen.clear();
  bool whole = false;
  f.listeners.on_forgotten([&](net::Listener& l) { whole = f.listeners.at(l.path()) == &l && l.is_open(); });
  f.listeners.forget("root/web");
  CHECK(f.seen == Words{"gone root/web/x a", "gone root/web/x b", "gone root/web/y a", "gone root/web/y b"});
  CHECK(whole);
  CHECK(f.listeners.all().size() == 1);
  CHECK(f.listeners.at("root/web2") != nullptr);
}

TEST_CASE("a listener serves while its port is open and it is not ending") {
  Fixture f(listener_entry("echo"));
  f.add();
  net::Listener* const echo = f.listeners.at("root/echo");
  CHECK(f.listeners.serving_at("root/echo") == echo);
  CHECK(f.listeners.serving_at("root/nobody") == nullptr);
  echo->set_end_phase(net::EndPhase::lame_duck);
  CHECK(f.listeners.serving_at("root/echo") == echo);
  echo->set_end_phase(net::EndPhase::closing);
  CHECK(f.listeners.serving_at("root/echo") == nullptr);
  echo->set_end_phase(net::EndPhase::idle);
  echo->close();
  CHECK(f.listeners.serving_at("root/echo") == nullptr);
}

}  // namespace
}  // namespace bulkhead::running
