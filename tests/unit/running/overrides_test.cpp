// What operators have changed: how long it is remembered, and what it does to the specs.
#include "master/running/overrides.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "master/config/tree_of_config.h"

namespace bulkhead::running {
namespace {

namespace report = supervision::report;
using Paths = std::vector<std::string>;

config::Node listener(const std::string& id, std::uint32_t workers) {
  config::Node node;
  node.spec.id = id;
  node.spec.type = supervision::NodeType::listener;
  node.listener.emplace();
  node.listener->workers = workers;
  return node;
}

config::Node supervisor(const std::string& id, std::vector<config::Node> children) {
  config::Node node;
  node.spec.id = id;
  node.spec.type = supervision::NodeType::supervisor;
  node.children = std::move(children);
  return node;
}

TEST_CASE("a node that starts is no longer stopped or deleted") {
  Overrides overrides;
  overrides.stop("root/db");
  overrides.stop("root/web");
  overrides.erase("root/job");
  overrides.told(report::ChildStarted{2, "root/db", 1});
  overrides.told(report::SupervisorStarted{3, "root/web"});
  overrides.told(report::ChildStarted{4, "root/job", 2});
  CHECK_FALSE(overrides.is_stopped("root/db"));
  CHECK_FALSE(overrides.is_stopped("root/web"));
  CHECK_FALSE(overrides.is_erased("root/job"));
}

TEST_CASE("a node that leaves the tree is no longer scaled, and stays stopped") {
  Overrides overrides;
  overrides.stop("root/web");
  overrides.scale("root/web/echo", 3, 2);
  overrides.scale("root/webs", 3, 2);
  overrides.told(report::ChildRemoved{2, "root/web"});
  CHECK_FALSE(overrides.workers_of("root/web/echo"));
  CHECK(overrides.workers_of("root/webs") == 3U);
  CHECK(overrides.is_stopped("root/web"));
}

TEST_CASE("what is deleted is not stopped or scaled, nor is anything below it") {
  Overrides overrides;
  overrides.stop("root/web");
  overrides.stop("root/web/db");
  overrides.scale("root/web/echo", 3, 2);
  overrides.erase("root/web");
  CHECK(overrides.is_erased("root/web"));
  CHECK(overrides.record().stopped.empty());
  CHECK(overrides.record().scaled.empty());
  overrides.forget("root");
  CHECK_FALSE(overrides.is_erased("root/web"));
}

TEST_CASE("the number of workers in the file is no override") {
  Overrides overrides;
  overrides.scale("root/echo", 3, 2);
  CHECK(overrides.workers_of("root/echo") == 3U);
  overrides.scale("root/echo", 2, 2);
  CHECK_FALSE(overrides.workers_of("root/echo"));
}

TEST_CASE("a number of workers ends when the file names another one") {
  Overrides overrides;
  const config::Node before = supervisor("root", {listener("same", 2), listener("other", 2), listener("gone", 2)});
  const config::Node after = supervisor("root", {listener("same", 2), listener("other", 4)});
  for (const char* path : {"root/same", "root/other", "root/gone", "root/added"}) overrides.scale(path, 3, 2);
  overrides.take_over(before, after);
  CHECK(overrides.workers_of("root/same") == 3U);
  CHECK_FALSE(overrides.workers_of("root/other"));
  CHECK_FALSE(overrides.workers_of("root/gone"));
  CHECK(overrides.workers_of("root/added") == 3U);
}

TEST_CASE("the specs have the numbers of workers that operators have set, at any depth") {
  Overrides overrides;
  const config::Node root = supervisor("root", {listener("a", 1), supervisor("web", {listener("b", 1)})});
  overrides.scale("root/web/b", 3, 1);
  const supervision::ChildSpec spec = overrides.applied_to(config::tree_of_config(root), "root");
  CHECK(spec.children[0].children.size() == 1);
  REQUIRE(spec.children[1].children[0].children.size() == 3);
  CHECK(spec.children[1].children[0].children[2].id == "3");
}

TEST_CASE("another program continues with the same") {
  Overrides overrides;
  overrides.stop("root/db");
  overrides.erase("root/job");
  overrides.scale("root/echo", 3, 2);
  Overrides heir;
  heir.resume(overrides.record());
  CHECK(heir.record().stopped == Paths{"root/db"});
  CHECK(heir.record().deleted == Paths{"root/job"});
  CHECK(heir.workers_of("root/echo") == 3U);
}

}  // namespace
}  // namespace bulkhead::running
