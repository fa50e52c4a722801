// Which listener gets which number of a pool.
#include "master/running/uid_ledger.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "master/running/pool_users.h"

namespace bulkhead::running {
namespace {

using config::UidRange;

constexpr UidRange kThree{100, 102};

struct Ledger {
  UidLedger ledger;
  std::set<std::uint32_t> busy;

  std::optional<std::uint32_t> take(const std::string& path, const UidRange& range = kThree) {
    return ledger.take(path, range, [this](std::uint32_t uid) { return busy.contains(uid); });
  }
};

TEST_CASE("numbers are given out from the first, each once") {
  Ledger f;
  CHECK(f.take("root/a") == 100);
  CHECK(f.take("root/b") == 101);
  CHECK(f.take("root/c") == 102);
  CHECK_FALSE(f.take("root/d"));
  CHECK(f.ledger.of("root/b") == 101);
  CHECK(f.ledger.is_taken(101, "root/a"));
  CHECK_FALSE(f.ledger.is_taken(101, "root/b"));
}

TEST_CASE("a number that is free again is given out after those that were not used before") {
  Ledger f;
  CHECK(f.take("root/a") == 100);
  f.ledger.forget_holders();
  CHECK(f.take("root/b") == 101);
  CHECK(f.take("root/c") == 102);
  CHECK(f.take("root/d") == 100);
}

TEST_CASE("a number with which something runs is not given out") {
  Ledger f;
  f.busy = {100, 102};
  CHECK(f.take("root/a") == 101);
  CHECK_FALSE(f.take("root/b"));
  f.busy = {};
  CHECK(f.take("root/b") == 102);
}

TEST_CASE("ranges that overlap share no number") {
  Ledger f;
  CHECK(f.take("root/a") == 100);
  CHECK(f.take("root/b", {100, 110}) == 101);
  CHECK(f.take("root/c") == 102);
}

TEST_CASE("another program goes on where this one has stopped") {
  Ledger f;
  CHECK(f.take("root/a") == 100);
  Ledger next;
  next.ledger.resume(f.ledger.record());
  next.ledger.resume({{7, 9, 1000}});  // nonsense is not believed
  CHECK(next.take("root/b") == 101);
  CHECK(next.take("root/c", {7, 9}) == 7);
}

config::Node listener(const std::string& id, const UidRange& range) {
  config::Node node;
  node.spec.id = id;
  node.listener.emplace();
  node.listener->child.identity =
      config::Identity{"of the pool", range.first, range.first, {}, config::Identity::Pool{range, true, false}};
  return node;
}

config::Config config_of(std::vector<config::Node> children) {
  config::Config config;
  config.root.spec.type = supervision::NodeType::supervisor;
  config.root.children = std::move(children);
  return config;
}

const config::Identity& of(const config::Config& config, std::size_t child) {
  return *config.root.children.at(child).listener->child.identity;
}

const Catalogue::TagOf kNothingExists = [](const std::string&, supervision::NodeType) { return std::nullopt; };
const Catalogue::Changed kNobodyAsks = [](const std::string&, const config::Node&) {};

// As at a start.
struct Users {
  explicit Users(std::vector<config::Node> children) : catalogue(config_of(std::move(children)), "{}") {
    REQUIRE(users.assign(*catalogue.find_in_config("root"), "root").empty());
  }
  config::Config reload(std::vector<config::Node> children) {
    auto next = std::make_shared<config::Config>(config_of(std::move(children)));
    REQUIRE(users.assign(next->root, "root").empty());
    catalogue.take_over(next, "{}", kNothingExists, kNobodyAsks);
    return *next;
  }

  Catalogue catalogue;
  PoolUsers users{catalogue, [](std::uint32_t) { return false; }};
};

TEST_CASE("a listener gets its number with the group and the name of it") {
  const Users f({listener("a", kThree), listener("b", kThree)});
  const config::Identity& b = of(f.catalogue.config(), 1);
  CHECK((b.uid == 101 && b.gid == 101 && b.name == "101"));
  CHECK(b.pool->assigned);
}

TEST_CASE("a group of its own stays") {
  config::Node node = listener("a", kThree);
  node.listener->child.identity->gid = 33;
  node.listener->child.identity->pool->gives_group = false;
  const Users f({node});
  CHECK((of(f.catalogue.config(), 0).uid == 100 && of(f.catalogue.config(), 0).gid == 33));
}

TEST_CASE("a listener keeps its number in another order and beside new ones") {
  Users f({listener("a", kThree), listener("b", kThree)});
  const auto next = f.reload({listener("c", kThree), listener("b", kThree), listener("a", kThree)});
  CHECK((of(next, 0).uid == 102 && of(next, 1).uid == 101 && of(next, 2).uid == 100));
}

TEST_CASE("another pool means another number") {
  Users f({listener("a", kThree)});
  CHECK(of(f.reload({listener("a", {200, 209})}), 0).uid == 200);
  CHECK(of(f.reload({listener("a", {195, 205})}), 0).uid == 200);
}

TEST_CASE("one that is leaving keeps its number") {
  Users f({listener("a", kThree), listener("b", kThree)});
  const UidRange one{100, 100};
  config::Node gone = *f.catalogue.find("root/a");
  f.catalogue.leave(gone, {"root", R"({"supervisor":{"children":[{}]}})", "", ""});
  (void)f.reload({listener("b", kThree)});
  config::Node added = listener("c", one);
  CHECK(f.users.assign(added, "root/c") == "root/c: every user of the pool 100-100 is in use");
}

TEST_CASE("what was in effect once keeps its number, unless another listener has it by now") {
  Users f({listener("a", kThree)});
  config::Config before = f.catalogue.config();
  (void)f.reload({listener("a", {200, 209})});
  CHECK(f.users.assign(before.root, "root").empty());
  CHECK(of(before, 0).uid == 100);
  config::Config taken = f.catalogue.config();
  (void)f.reload({listener("a", {300, 300}), listener("b", {200, 200})});
  CHECK(f.users.assign(taken.root, "root").empty());
  CHECK(of(taken, 0).uid != 200);
}

TEST_CASE("to recall takes no number") {
  Users f({listener("a", kThree)});
  config::Config next = config_of({listener("new", kThree), listener("a", kThree)});
  f.users.recall(next.root, "root");
  CHECK_FALSE(of(next, 0).pool->assigned);
  CHECK(of(next, 1).uid == 100);
  CHECK(of(f.reload({listener("b", kThree)}), 0).uid == 101);
}

}  // namespace
}  // namespace bulkhead::running
