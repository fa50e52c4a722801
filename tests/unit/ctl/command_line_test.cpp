// How command lines are checked against the command table.
#include "master/ctl/command_line.h"

#include <catch2/catch.hpp>

namespace bulkhead::ctl {
namespace {

using Json = nlohmann::ordered_json;

Invocation parsed(std::vector<std::string> arguments) {
  return parse_command_line(std::move(arguments));
}

TEST_CASE("a command line becomes a verb and its parameters") {
  const Invocation events = parsed({"-s", "/run/x.sock", "--json", "events", "--since", "12", "-f"});
  REQUIRE(events.command != nullptr);
  CHECK(events.command->name == "events");
  CHECK(events.socket == "/run/x.sock");
  CHECK(events.json);
  CHECK(events.params == Json::parse(R"({"since":12,"follow":true})"));

  CHECK(parsed({"scale", "root/echo", "-1"}).params == Json::parse(R"({"path":"root/echo","workers":"-1"})"));
  CHECK(parsed({"scale", "root/echo", "+1"}).params["workers"] == "+1");
  CHECK(parsed({"penalties"}).params == Json::object());
  CHECK(parsed({"penalties", "clear", "192.0.2.0/24"}).params == Json::parse(R"({"clear":"192.0.2.0/24"})"));
  CHECK(parsed({"penalties", "--json", "clear", "unix:uid=7"}).params["clear"] == "unix:uid=7");
  CHECK(parsed({"kill", "2f00000003"}).params == Json::parse(R"({"id":"2f00000003"})"));
  CHECK(parsed({"add", "root", "-"}).params == Json::parse(R"({"path":"root","child":"-"})"));
  CHECK(parsed({"simulate", "--config", "c", "-"}).params == Json::parse(R"({"config":"c","scenario":"-"})"));
  CHECK(parsed({"status", "--json", "-s", "x"}).json);
  CHECK(parsed({"shutdown"}).params == Json::object());
}

TEST_CASE("a command for a node takes several, and patterns") {
  using Words = std::vector<std::string>;
  CHECK(parsed({"stop", "a"}).params == Json::parse(R"({"path":"root/a"})"));
  CHECK(parsed({"stop", "a"}).targets.empty());
  CHECK(parsed({"stop", "a", "root/b"}).targets == Words{"root/a", "root/b"});
  CHECK(parsed({"stop", "a", "root/b"}).params == Json::object());
  CHECK(parsed({"restart", "web*"}).targets == Words{"root/web*"});
  CHECK(parsed({"drain", "a", "b", "--wait"}).targets == Words{"root/a", "root/b"});
  CHECK(parsed({"drain", "--wait", "a", "b"}).params == Json::parse(R"({"wait":true})"));
  CHECK(parsed({"signal", "web*", "hup"}).targets == Words{"root/web*"});
  CHECK(parsed({"signal", "web*", "hup"}).params == Json::parse(R"({"signal":"SIGHUP"})"));
  CHECK(parsed({"scale", "web*", "+1"}).targets == Words{"root/web*"});
  CHECK(parsed({"wait", "a", "running", "-t", "5"}).params ==
        Json::parse(R"({"path":"root/a","state":"running","timeout":"5s"})"));
}

TEST_CASE("kill takes a connection or a client") {
  CHECK(parsed({"kill", "2f00000003", "KILL"}).params == Json::parse(R"({"id":"2f00000003","signal":"SIGKILL"})"));
  CHECK(parsed({"kill", "--peer", "192.0.2.7"}).params == Json::parse(R"({"peer":"192.0.2.7"})"));
  CHECK(parsed({"kill", "--peer", "192.0.2.7", "KILL"}).params ==
        Json::parse(R"({"peer":"192.0.2.7","signal":"SIGKILL"})"));
  CHECK(parsed({"kill", "HUP", "--peer", "192.0.2.7:80"}).params["signal"] == "SIGHUP");
  CHECK(parsed({"kill"}).message == "kill: CONN is required");
  CHECK(parsed({"kill", "--peer", "192.0.2.7", "KILL", "HUP"}).message == "kill: unexpected argument \"HUP\"");
}

TEST_CASE("simulate takes a scenario or crashes") {
  CHECK(parsed({"simulate", "--config", "c", "--crash", "a", "--crash", "root/b@1s"}).params ==
        Json::parse(R"({"config":"c","crash":["root/a@0s","root/b@1s"]})"));
  CHECK(parsed({"simulate", "--crash", "a"}).message ==
        "simulate: --crash needs the tree of a configuration: --config FILE");
  CHECK(parsed({"simulate", "--config", "c", "--crash", "a", "x.json"}).message ==
        "simulate: unexpected argument \"x.json\"");
  CHECK(parsed({"simulate", "--config", "c"}).message == "simulate: SCENARIO is required");
}

TEST_CASE("an invalid command line is a usage error") {
  struct Row {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{"penalties", "clear"}, "PREFIX is required"},
      {{"penalties", "clear", "x"},
       "penalties: PREFIX: expected a network such as 192.0.2.0/24 or 2001:db8::/32, an address, or unix:uid=1000, not "
       "\"x\""},
      {{"simulat"}, "no command \"simulat\"; did you mean \"simulate\"?"},
      {{"is-runing", "a"}, "no command \"is-runing\"; did you mean \"is-running\"?"},
      {{"events", "--sinse", "4"}, "events: no option \"--sinse\"; did you mean \"--since\"?"},
      {{"explain", "--jsn"}, "explain: no option \"--jsn\"; did you mean \"--json\"?"},
      {{"--scoket=x", "tree"}, "tree: no option \"--scoket\"; did you mean \"--socket\"?"},
      {{"reload", "--xyzzy"}, "reload: no option \"--xyzzy\""},
      {{"status", "extra"}, "status: unexpected argument \"extra\""},
      {{}, "a command is missing; --help lists the commands"},
      {{"signal", "db", "TREM"}, "signal: SIG: expected a signal such as TERM, not \"TREM\"; did you mean \"TERM\"?"},
      {{"wait", "db", "runing"},
       "wait: STATE: expected a state of a node: starting, running, waiting, stopping, stopped or failed, not "
       "\"runing\"; did you mean \"running\"?"},
      {{"wait", "db", "running", "-t", "soon"}, "wait: -t: expected a time such as 30s or 5m, not \"soon\""},
      {{"stop", "a", "b c"}, "stop: PATH: expected a path such as root/web/echo, not \"b c\""},
      {{"tre"}, "no command \"tre\"; did you mean \"tree\"?"},
      {{"events", "--since", "x"}, "events: --since: expected the number of an event, 0 or more, not \"x\""},
      {{"scale", "root/echo", "many"},
       "scale: N: expected a number of workers, or a change such as +1 or -1, not \"many\""},
      {{"kill", "nobody"}, "kill: CONN: expected a connection's id, up to 16 hexadecimal digits, not \"nobody\""}};
  for (const Row& row : rows) {
    const Invocation invocation = parsed(row.arguments);
    CHECK(invocation.command == nullptr);
    CHECK(invocation.status == kCtlUsage);
    CHECK(invocation.message == row.message);
  }
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"explain"}, {"status", "extra"}, {"--nonsense"}, {"status", "tree"}, {"-s"}}) {
    CHECK(parsed(arguments).command == nullptr);
    CHECK(parsed(arguments).status == kCtlUsage);
  }
}

TEST_CASE("help and version are not errors") {
  for (const char* option : {"--help", "-h", "--version"}) {
    const Invocation invocation = parsed({option});
    CHECK(invocation.command == nullptr);
    CHECK(invocation.status == kOk);
    CHECK_FALSE(invocation.message.empty());
  }
  for (const protocol::Command& command : protocol::kCommands) {
    INFO(command.name);
    CHECK(parsed({"--help"}).message.find(std::string(command.name)) != std::string::npos);
    CHECK(parsed({std::string(command.name), "--help"}).message.find(protocol::usage_of(command)) != std::string::npos);
  }
}

}  // namespace
}  // namespace bulkhead::ctl
