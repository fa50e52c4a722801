// What a file means before its options are read: variables, defaults and instances.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "master/config/json_reader.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

Loaded loaded(Shape shape, std::string_view fragment) {
  return parse(file_of(shape, fragment), "a.json", "/etc", FakeHost());
}

// Of a file that must be good.
Config config_of(Shape shape, std::string_view fragment) {
  Loaded out = loaded(shape, fragment);
  INFO(fragment << "\n" << texts(out));
  REQUIRE(out.config);
  return std::move(*out.config);
}

using Environment = std::vector<std::pair<std::string, std::string>>;

TEST_CASE("variables stand in every value, and other dollars are themselves") {
  const std::pair<const char*, const char*> rows[] = {{"${PORT}", "4040"},
                                                      {"a${PORT}b${PORT}", "a4040b4040"},
                                                      {"${EMPTY}", ""},
                                                      {"${EMPTY:-x}", "x"},
                                                      {"${NONE:-}", ""},
                                                      {"${NONE:-a:-b}", "a:-b"},
                                                      {"$${PORT}", "${PORT}"},
                                                      {"$$${PORT}", "$${PORT}"},
                                                      {"$PORT $$ $ {}", "$PORT $$ $ {}"},
                                                      {"$", "$"}};
  for (const auto& [written, meant] : rows) {
    const Config config = config_of(Shape::process, R"("env":{"A":")" + std::string(written) + "\"}");
    CHECK(config.root.children[0].process->child.env == Environment{{"A", meant}});
  }
}

TEST_CASE("a variable may stand for a number or a boolean") {
  const Config config =
      config_of(Shape::listener, R"("workers":"${WORKERS}","nodelay":"${ON}","max_seconds":"${NONE:-7}")");
  CHECK(config.root.children[0].listener->workers == 2);
  CHECK(config.root.children[0].listener->sockets.nodelay);
  CHECK(texts(loaded(Shape::listener, R"("workers":"2")")).find("write it without quotes") != std::string::npos);
  CHECK(texts(loaded(Shape::listener, R"("workers":"${PORT}0000")")).find("expected an integer") != std::string::npos);
}

TEST_CASE("a variable that is not set or not written well is an error with its place") {
  CHECK(
      texts(loaded(Shape::process, R"("env":{"A":"/x${NONE}"})")) ==
      R"(a.json:2:12: /supervisor/children/0/env/A: the variable NONE is not set in the daemon's environment; write "$${" for a literal "${")");
  for (const char* bad : {"${PORT", "${}", "${1A}", "${A B}"}) {
    INFO(bad);
    CHECK(texts(loaded(Shape::process, R"("env":{"A":")" + std::string(bad) + "\"}")).find(R"(write "$${")") !=
          std::string::npos);
  }
}

TEST_CASE("the configuration in effect has the values, and is not expanded again") {
  const Loaded first = loaded(Shape::process, R"("env":{"A":"${PORT} $${PORT} $x"})");
  REQUIRE(first.config);
  CHECK(first.effective.find(R"("A": "4040 $${PORT} $x")") != std::string::npos);
  const Loaded second = parse(first.effective, "a.json", "/etc", FakeHost());
  CHECK(second.effective == first.effective);
}

TEST_CASE("defaults hold below their supervisor, and the nearest one's key counts") {
  const Config config =
      config_of(Shape::whole, R"({"supervisor":{"defaults":{"process":{"nice":1,"umask":"077"}},"children":[
      {"id":"p","type":"process","argv":["/bin/sh"],"nice":3},
      {"id":"s","type":"supervisor","defaults":{"process":{"nice":2}},"children":[{"id":"q","type":"process","argv":["/bin/sh"]}]},
      {"id":"r","type":"process","argv":["/bin/sh"]}]}})");
  const auto& children = config.root.children;
  CHECK(children[0].process->child.nice == 3);
  CHECK(children[1].children[0].process->child.nice == 2);
  CHECK(children[1].children[0].process->child.umask == 077);
  CHECK(children[2].process->child.nice == 1);
}

TEST_CASE("defaults are checked where they are written, even if no child uses them") {
  CHECK(
      texts(loaded(Shape::root,
                   R"("defaults":{"listener":{"nice":99,"shutdwn":"1s","id":"x"},"worker":{},"process":1})")) ==
      R"(a.json:2:32: /supervisor/defaults/listener/nice: expected an integer from -20 to 19, got the number 99)"
      "\n"
      R"(a.json:2:35: /supervisor/defaults/listener/shutdwn: defaults of a listener cannot have the key "shutdwn"; did you mean "shutdown"?)"
      "\n"
      R"(a.json:2:50: /supervisor/defaults/listener/id: defaults of a listener cannot have the key "id")"
      "\n"
      R"(a.json:2:60: /supervisor/defaults/worker: defaults are for a "process" or a "listener")"
      "\n"
      R"(a.json:2:82: /supervisor/defaults/process: expected an object, got the number 1)");
}

TEST_CASE("instances are children of their own, with their numbers and ports") {
  const Config config = config_of(
      Shape::child, R"({"id":"w","type":"listener","instances":3,"listen":["127.0.0.1:8000-8002","unix:/run/w%i.sock"],
      "handler":"echo","env":{"N":"%i of 100%%, %d"}})");
  REQUIRE(config.root.children.size() == 3);
  CHECK(config.root.children[2].spec.id == "w-3");
  CHECK(config.root.children[2].listener->listen[0].text == "127.0.0.1:8002");
  CHECK(config.root.children[2].listener->listen[1].text == "unix:/run/w3.sock");
  CHECK(config.root.children[2].listener->child.env == Environment{{"N", "3 of 100%, %d"}});
}

TEST_CASE("what other programs call it is answered with its name here") {
  const std::pair<const char*, const char*> keys[] = {{R"("WorkingDirectory":"/")", R"(; write "chdir")"},
                                                      {R"("environment":{})", R"(; write "env")"},
                                                      {R"("numprocs":2)", R"(; write "instances")"},
                                                      {R"("StopSignal":"TERM")", R"(; write "stop_signal")"},
                                                      {R"("depends_on":[])", "children start in their order"}};
  for (const auto& [fragment, advice] : keys) {
    CHECK(texts(loaded(Shape::process, fragment)).find(advice) != std::string::npos);
  }
  CHECK(texts(loaded(Shape::listener, R"("wait":true)")).find("is not offered: the workers accept") !=
        std::string::npos);
  CHECK(texts(loaded(Shape::process, R"("restart":"always")")).find(R"(; write "permanent")") != std::string::npos);
  CHECK(texts(loaded(Shape::process, R"("restart":"on-failure")")).find(R"(; write "transient")") != std::string::npos);
}

TEST_CASE("instances that cannot be are errors") {
  CHECK(texts(loaded(Shape::child,
                     R"({"id":"w","type":"listener","instances":2,"listen":"8000-8002","handler":"echo"})")) ==
        R"(a.json:2:52: /supervisor/children/0/listen: "8000-8002" has 3 ports, but there are 2 instances)");
  CHECK(texts(loaded(Shape::child, R"({"id":"w","type":"process","instances":0,"argv":["/bin/sh"]})"))
            .find("instances: expected an integer from 1 to 1,000, got the number 0") != std::string::npos);
  CHECK_FALSE(
      loaded(Shape::child, R"({"id":"w","type":"listener","instances":2,"listen":"8000","handler":"echo"})").config);
}

}  // namespace
}  // namespace bulkhead::config
