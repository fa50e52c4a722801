// What the state of a node says about the state that is waited for.
#include "master/ctl/wait.h"

#include <catch2/catch.hpp>

namespace bulkhead::ctl {
namespace {

using Json = nlohmann::ordered_json;

Prospect prospect(const char* node, const char* wanted) {
  return prospect_of(Json::parse(node), wanted);
}

TEST_CASE("the state that is wanted is reached, whichever it is") {
  for (const char* state : {"starting", "running", "waiting", "stopping", "stopped", "failed"}) {
    CHECK(prospect_of({{"state", state}}, state) == Prospect::reached);
  }
}

TEST_CASE("a node that lives may come into any other state") {
  for (const char* state : {"starting", "running", "waiting", "stopping"}) {
    CHECK(prospect_of({{"state", state}}, "failed") == Prospect::open);
    CHECK(prospect_of({{"state", state}}, "stopped") == Prospect::open);
  }
}

TEST_CASE("nothing starts a node with a permanent failure") {
  CHECK(prospect(R"({"state":"failed"})", "running") == Prospect::never);
  CHECK(prospect(R"({"state":"failed"})", "stopped") == Prospect::never);
}

TEST_CASE("a node that has ended by itself is unlikely to start, unless somebody is at it") {
  CHECK(prospect(R"({"state":"stopped"})", "running") == Prospect::doubtful);
  CHECK(prospect(R"({"state":"stopped","waits_for":"root/b"})", "running") == Prospect::open);
  CHECK(prospect(R"({"state":"stopped","differs":["stopped"]})", "running") == Prospect::open);
  CHECK(prospect(R"({"state":"stopped","differs":["scaled"]})", "running") == Prospect::doubtful);
}

TEST_CASE("an event tells the state that it begins") {
  CHECK(state_after({{"event", "child_started"}}) == "starting");
  CHECK(state_after({{"event", "child_ready"}}) == "running");
  CHECK(state_after({{"event", "child_stopping"}}) == "stopping");
  CHECK(state_after({{"event", "child_restarting"}, {"delay_ms", 20}}) == "waiting");
  CHECK(state_after({{"event", "child_restarting"}, {"delay_ms", 0}}).empty());
  CHECK(state_after({{"event", "child_exited"}}).empty());
  CHECK(state_after(nullptr).empty());
}

}  // namespace
}  // namespace bulkhead::ctl
