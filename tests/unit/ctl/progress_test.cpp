// The line that shows what a command waits for.
#include "master/ctl/progress.h"

#include <catch2/catch.hpp>

namespace bulkhead::ctl {
namespace {

using Json = nlohmann::ordered_json;

Json listener(const std::string& path, const std::string& phase, int connections, const Json& seconds = nullptr) {
  return {{"path", path},
          {"type", "listener"},
          {"state", "running"},
          {"phase", phase},
          {"phase_ends_in_seconds", seconds},
          {"connections", {{"active", connections}}},
          {"workers", {{{"path", path + "/1"}, {"type", "worker"}, {"state", "stopping"}}}}};
}

Json process(const std::string& path, const std::string& state, const char* name = "none", double seconds = 0) {
  return {{"path", path}, {"type", "process"}, {"state", state}, {name, seconds}};
}

Json root(Json children) {
  return {{"path", "root"}, {"type", "supervisor"}, {"state", "stopping"}, {"children", std::move(children)}};
}

TEST_CASE("a listener that drains shows its connections and its time") {
  CHECK(progress_text(listener("root/echo", "draining", 12, 24.2)) ==
        "draining root/echo: 12 connections left, 25 s until they are ended");
  CHECK(progress_text(listener("root/echo", "draining", 1, 0.5)) ==
        "draining root/echo: 1 connection left, 1 s until it is ended");
  CHECK(progress_text(listener("root/echo", "draining", 1)) == "draining root/echo: 1 connection left");
}

TEST_CASE("the other phases of a listener") {
  CHECK(progress_text(listener("root/echo", "lame_duck", 3, 2.5)) ==
        "draining root/echo: still accepting connections, for 3 s");
  CHECK(progress_text(listener("root/echo", "closing", 3)) == "closing the port of root/echo");
  CHECK(progress_text(listener("root/echo", "terminating", 3, 5)) ==
        "ending the connections of root/echo: 3 connections left, 5 s until they are killed");
}

TEST_CASE("nodes that wait for the same are counted together, with the longest time") {
  const Json both = root({listener("root/a", "draining", 2, 10), listener("root/b", "draining", 3, 20)});
  CHECK(progress_text(both) == "draining root/a and 1 other: 5 connections left, 20 s until they are ended");
  const Json three =
      root({process("root/a", "stopping"), process("root/b", "stopping"), process("root/c", "stopping")});
  CHECK(progress_text(three) == "stopping root/a and 2 others");
}

TEST_CASE("connections are of more interest than processes, and ends than starts") {
  CHECK(progress_text(root({process("root/a", "starting"), process("root/b", "stopping", "killed_in_seconds", 4)})) ==
        "stopping root/b, 4 s until it is killed");
  CHECK(progress_text(root({process("root/a", "stopping"), listener("root/b", "draining", 1)})) ==
        "draining root/b: 1 connection left");
}

TEST_CASE("starts, and nothing at all") {
  CHECK(progress_text(process("root/a", "starting")) == "starting root/a");
  CHECK(progress_text(process("root/a", "starting", "start_in_seconds", 1.5)) == "starting root/a in 2 s");
  CHECK(progress_text(process("root/a", "waiting", "restart_in_seconds", 3)) == "waiting to restart root/a in 3 s");
  CHECK(progress_text(root({process("root/a", "running")})) == "");
  CHECK(progress_text(nullptr) == "");
}

}  // namespace
}  // namespace bulkhead::ctl
