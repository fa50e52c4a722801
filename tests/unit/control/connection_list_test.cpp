// The answer to `connections` from tables that a test has filled: complete, in pieces, regardless of changes between
// them.
#include "master/control/connection_list.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "worker/ipc/table/table.h"
#include "worker/sys/clock.h"

namespace bulkhead::control {
namespace {

using Json = nlohmann::ordered_json;

ipc::Table table_of(const net::Listener& listener) {
  auto table = ipc::Table::map(listener.table_fd(), listener.table().room());
  REQUIRE(table);
  return std::move(*table);
}

class Tables {
 public:
  net::Listener& add(const std::string& path, std::uint32_t capacity, std::uint32_t connections) {
    ipc::register_robust_list();
    config::Listener config;
    config.max_connections = capacity;
    auto listener = std::make_unique<net::Listener>(next_++, path, config, inherited);
    REQUIRE_FALSE(listener->open());
    ipc::Table table = table_of(*listener);
    for (std::uint32_t i = 0; i < connections; ++i) connect(table);
    return *(listeners[path] = std::move(listener));
  }
  static std::uint32_t connect(ipc::Table& table) {
    const std::uint32_t index = table.claim({1, 3, sys::monotonic_ns()}).slot;
    ipc::Slot& slot = table.slot(index);
    slot.peer = {AF_INET6, 50'000, 0, {0x20, 1, 0xd, 0xb8}, 0, 0, 0};
    slot.local = {AF_INET, 4040, 0, {127, 0, 0, 1}, 0, 0, 0};
    slot.pid = static_cast<std::int32_t>(1000 + index);
    slot.started_ns = sys::monotonic_ns();
    table.serve(index);
    return index;
  }

  net::InheritedSockets inherited;  // outlives who may have been given one
  ConnectionList::Listeners listeners;

 private:
  std::uint32_t next_ = 0;
};

struct Taken {
  std::string text;
  std::size_t pieces = 0;
  std::size_t longest = 0;
};

void take(ConnectionList& list, Taken& taken, std::size_t at_most) {
  for (bool more = true; more && at_most > 0; --at_most) {
    const std::size_t before = taken.text.size();
    more = list.next(taken.text);
    ++taken.pieces;
    taken.longest = std::max(taken.longest, taken.text.size() - before);
  }
}

Json all_of(const Tables& tables) {
  ConnectionList list(tables.listeners);
  Taken taken;
  take(list, taken, 1'000'000);
  return Json::parse(taken.text);
}

TEST_CASE("no listener, an empty one, and one that never opened have no connections") {
  Tables tables;
  CHECK(all_of(tables) == Json::array());
  (void)tables.add("root/echo", 8, 0);
  tables.listeners["root/closed"] =
      std::make_unique<net::Listener>(7, "root/closed", config::Listener{}, tables.inherited);
  CHECK(all_of(tables) == Json::array());
}

TEST_CASE("an entry has every member, in the order of the contract") {
  Tables tables;
  (void)tables.add("root/echo", 8, 1);
  const Json list = all_of(tables);
  REQUIRE(list.size() == 1);
  std::vector<std::string> keys;
  for (const auto& [key, value] : list[0].items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"id", "listener", "pid", "worker", "adopted", "peer", "local", "started",
                                         "age_seconds", "handler", "generation", "uid"});
  CHECK(list[0]["worker"] == "root/echo/3");
  CHECK(list[0]["peer"] == "[2001:db8::]:50000");
  CHECK(list[0]["local"] == "127.0.0.1:4040");
}

TEST_CASE("two thousand connections are listed completely, in small pieces") {
  constexpr std::uint32_t kMany = 2'000;
  Tables tables;
  (void)tables.add("root/a", kMany, kMany - 10);
  (void)tables.add("root/b", 1'000'000, 10);
  ConnectionList list(tables.listeners);
  Taken taken;
  take(list, taken, 1'000'000);
  CHECK(taken.longest < 16 * 1024);
  CHECK(taken.text.size() > 400 * 1024);
  CHECK(taken.pieces > kMany / ConnectionList::kPerPiece);
  std::size_t found = 0;
  for (std::size_t at = taken.text.find("{\"id\":\""); at != std::string::npos;
       at = taken.text.find("{\"id\":\"", at + 1)) {
    ++found;
  }
  CHECK(found == kMany);
  CHECK(Json::accept(taken.text));
}

TEST_CASE("a long run of free slots is scanned in many short pieces") {
  Tables tables;
  net::Listener& listener = tables.add("root/a", 50'000, 50'000);
  ipc::Table table = table_of(listener);
  for (std::uint32_t slot = 1; slot + 1 < 50'000; ++slot) (void)table.end(slot, ipc::EndCount::normal);
  ConnectionList list(tables.listeners);
  Taken taken;
  take(list, taken, 1'000'000);
  CHECK(taken.pieces >= 50'000 / ConnectionList::kSlotsPerPiece);
  CHECK(Json::parse(taken.text).size() == 2);
}

TEST_CASE("a connection that stays is listed once, even if others change between two pieces") {
  Tables tables;
  (void)tables.add("root/a", 1000, 100);
  net::Listener& stays = tables.add("root/b", 1000, 100);
  (void)tables.add("root/c", 1000, 100);
  ConnectionList list(tables.listeners);
  Taken taken;
  take(list, taken, 1);
  tables.listeners.erase("root/a");
  (void)tables.add("root/a/inner", 1000, 5);
  (void)tables.add("root/a", 1000, 3);  // another one of that name
  take(list, taken, 3);
  (void)table_of(stays).end(99, ipc::EndCount::normal);
  tables.listeners.erase("root/c");
  take(list, taken, 1000);
  std::set<std::string> ids;
  std::size_t of_b = 0;
  for (const Json& entry : Json::parse(taken.text)) {
    CHECK(ids.insert(entry["id"]).second);
    if (entry["listener"] == "root/b") ++of_b;
    CHECK(entry["listener"] != "root/c");
  }
  CHECK(of_b >= 99);
}

TEST_CASE("a path limits the list to what is below it") {
  Tables tables;
  (void)tables.add("root/echo", 8, 2);
  (void)tables.add("root/web/a", 8, 3);
  (void)tables.add("root/web/b", 8, 1);
  const auto count = [&tables](const std::string& path) {
    ConnectionList list(tables.listeners, path);
    Taken taken;
    take(list, taken, 1'000'000);
    return Json::parse(taken.text).size();
  };
  CHECK(count("root") == 6);
  CHECK(count("root/web") == 4);
  CHECK(count("root/web/a") == 3);
  CHECK(count("root/we") == 0);
  CHECK(count("root/echo/3") == 2);  // a worker: that of every connection here
  CHECK(count("root/echo/1") == 0);
}

}  // namespace
}  // namespace bulkhead::control
