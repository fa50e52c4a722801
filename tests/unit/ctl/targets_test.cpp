// Which nodes the words of a command line mean.
#include "master/ctl/targets.h"

#include <catch2/catch.hpp>

namespace bulkhead::ctl {
namespace {

using Json = nlohmann::ordered_json;
using protocol::Each;
using Paths = std::vector<std::string>;

const Json kTreeOfTargets = Json::parse(R"({"path":"root","type":"supervisor","children":[
  {"path":"root/web1","type":"process"},
  {"path":"root/web2","type":"listener","workers":[{"path":"root/web2/1","type":"worker"}]},
  {"path":"root/shop","type":"supervisor","children":[{"path":"root/shop/web3","type":"process"}]}]})");

Paths matches(const Paths& words, Each each = Each::node) {
  Paths out;
  for (const Target& target : targets_of(words, kTreeOfTargets, each)) {
    out.push_back(target.is_unmatched ? "no " + target.path : target.path);
  }
  return out;
}

TEST_CASE("a pattern stands for the nodes that it matches, in the tree's order") {
  CHECK(matches({"root/web*"}) == Paths{"root/web1", "root/web2"});
  CHECK(matches({"root/web?"}) == Paths{"root/web1", "root/web2"});
  CHECK(matches({"root/web[2-9]"}) == Paths{"root/web2"});
  CHECK(matches({"root/*"}) == Paths{"root/web1", "root/web2", "root/shop"});
  CHECK(matches({"root/*/web*"}) == Paths{"root/shop/web3"});
  CHECK(matches({"root/web2/*"}) == Paths{"root/web2/1"});
  CHECK(matches({"root/web*"}, Each::listener) == Paths{"root/web2"});
}

TEST_CASE("a path is itself, even one that does not exist") {
  CHECK(matches({"root/none", "root/web2"}) == Paths{"root/none", "root/web2"});
  CHECK(matches({"root/web1"}, Each::listener) == Paths{"root/web1"});
}

TEST_CASE("each node comes once, and a pattern without a match is told") {
  CHECK(matches({"root/web2", "root/web*", "root/web2"}) == Paths{"root/web2", "root/web1"});
  CHECK(matches({"root/db*", "root/web1"}) == Paths{"no root/db*", "root/web1"});
}

TEST_CASE("a tree of an unknown shape has no matches") {
  CHECK(targets_of({"root/*"}, Json::parse(R"({"path":3,"children":{}})"), Each::node).front().is_unmatched);
  CHECK(targets_of({"root/*"}, nullptr, Each::node).front().is_unmatched);
}

}  // namespace
}  // namespace bulkhead::ctl
