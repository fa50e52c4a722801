// The command table, and how requests are checked against it.
#include "master/protocol/command_table.h"

#include <catch2/catch.hpp>
#include <set>

namespace bulkhead::protocol {
namespace {

using Json = nlohmann::ordered_json;

std::string complaint(const char* verb, const char* params) {
  Json json = Json::parse(params);
  return check_params(*find_command(verb), json);
}

Json normal(const char* verb, const char* params) {
  Json json = Json::parse(params);
  CHECK(check_params(*find_command(verb), json).empty());
  return json;
}

TEST_CASE("every verb is found under its name, and no two share a name") {
  std::set<std::string_view> names;
  for (const Command& command : kCommands) {
    INFO(command.name);
    CHECK(names.insert(command.name).second);
    CHECK(find_command(command.name) == &command);
    CHECK(command.help.ends_with("."));
    CHECK_FALSE(command.when_no.ends_with("."));
  }
  CHECK(find_command("tre") == nullptr);
  CHECK(find_command("") == nullptr);
}

TEST_CASE("an unknown verb is answered with the nearest one") {
  CHECK(unknown_command_text("tre") == "no method \"tre\"; did you mean \"tree\"?");
  CHECK(unknown_command_text("xyzzy") == "no method \"xyzzy\"");
  CHECK(unknown_command_text("simulat") == "no method \"simulat\"");  // not a method
  CHECK(unknown_command_text(std::string(10'000, 'a')).size() < 100);
}

TEST_CASE("usage is derived from the parameters") {
  CHECK(usage_of(*find_command("status")) == "status");
  CHECK(usage_of(*find_command("events")) == "events [--since SEQ] [-n N] [-f]");
  CHECK(usage_of(*find_command("explain")) == "explain PATH ...");
  CHECK(usage_of(*find_command("add")) == "add SUPERVISOR FILE|-");
  CHECK(usage_of(*find_command("scale")) == "scale LISTENER N|+N|-N");
  CHECK(usage_of(*find_command("kill")) == "kill CONN|--peer PEER [SIG]");
  CHECK(usage_of(*find_command("shutdown")) == "shutdown [--now] [--wait]");
  CHECK(usage_of(*find_command("simulate")) == "simulate [--config FILE] SCENARIO|--crash CRASH ...");
}

TEST_CASE("a parameter may be given by another one, and not by both") {
  CHECK(normal("kill", R"({"peer":"192.0.2.7"})")["peer"] == "192.0.2.7");
  CHECK(complaint("kill", "{}") ==
        "kill: missing parameter \"id\": expected a connection's id, up to 16 hexadecimal digits");
  CHECK(complaint("kill", R"({"id":"1","peer":"192.0.2.7"})") == "kill: either \"id\" or \"peer\", not both");
}

TEST_CASE("a client is an address, a network, a port of it, or a user or a process of a Unix socket") {
  for (const char* peer : {"192.0.2.7", "192.0.2.0/24", "192.0.2.7:4711", "2001:db8::7", "2001:db8::/32",
                           "[2001:db8::7]:4711", "unix:uid=1000", "unix:uid=1000,pid=4711"}) {
    INFO(peer);
    CHECK(value_of(Kind::peer, peer));
  }
  for (const char* peer : {"", "192.0.2.7/24", "192.0.2.7:", "192.0.2.7:65536", "192.0.2.0/24:80", "[192.0.2.7]:80",
                           "[2001:db8::7]", "unix:uid=1000,pid=", "unix:pid=4", "unix:", "host:80", ":80"}) {
    INFO(peer);
    CHECK_FALSE(value_of(Kind::peer, peer));
  }
}

TEST_CASE("a wrong word gets the nearest one suggested") {
  CHECK(suggestion(Kind::signal, "TREM") == "; did you mean \"TERM\"?");
  CHECK(suggestion(Kind::signal, "SIGHUPP") == "; did you mean \"HUP\"?");
  CHECK(suggestion(Kind::signal, "usr").starts_with("; did you mean \"USR"));
  CHECK(suggestion(Kind::signal, "xyzzy").empty());
  CHECK(suggestion(Kind::state, "runing") == "; did you mean \"running\"?");
  CHECK(suggestion(Kind::path, "root/a").empty());
  CHECK(complaint("kill", R"({"id":"1","signal":"TREM"})") ==
        "kill: parameter \"signal\": expected a signal such as TERM; did you mean \"TERM\"?");
}

TEST_CASE("times are durations, or seconds where no unit is given") {
  CHECK(value_of(Kind::duration, "30") == Json("30s"));
  CHECK(value_of(Kind::duration, "250ms") == Json("250ms"));
  for (const char* time : {"", "s", "-1", "1.5", "30x", "30 s"}) CHECK_FALSE(value_of(Kind::duration, time));
}

TEST_CASE("a crash is a path and a time") {
  CHECK(value_of(Kind::crash, "redis") == Json("root/redis@0s"));
  CHECK(value_of(Kind::crash, "root/redis@1") == Json("root/redis@1s"));
  CHECK(value_of(Kind::crash, "root/a/b@250ms") == Json("root/a/b@250ms"));
  for (const char* crash : {"", "@1s", "redis@", "redis@x", "re dis@1s"}) CHECK_FALSE(value_of(Kind::crash, crash));
}

TEST_CASE("patterns are paths with special characters, in their full form") {
  CHECK(pattern_of("web*") == "root/web*");
  CHECK(pattern_of("root/*/echo") == "root/*/echo");
  CHECK(pattern_of("w[!a-c]b?") == "root/w[!a-c]b?");
  for (const char* word : {"", "web", "root/web", "*/", "/*", "a b*", "a//*"}) {
    INFO(word);
    CHECK(pattern_of(word).empty());
  }
}

TEST_CASE("good parameters come out in the form for the daemon") {
  CHECK(normal("status", "{}") == Json::object());
  CHECK(normal("events", R"({"since":0,"follow":true})") == Json::parse(R"({"since":0,"follow":true})"));
  CHECK(normal("restart", R"({"path":"root/web.1/a_b-c"})")["path"] == "root/web.1/a_b-c");
  CHECK(normal("scale", R"({"path":"root/echo","workers":3})")["workers"] == 3);
  CHECK(normal("scale", R"({"path":"root/echo","workers":"3"})")["workers"] == 3);
  CHECK(normal("scale", R"({"path":"root/echo","workers":"+2"})")["workers"] == "+2");
  CHECK(normal("kill", R"({"id":"8F3a","signal":"term"})")["signal"] == "SIGTERM");
  CHECK(normal("kill", R"({"id":"8f3a","signal":"9"})")["signal"] == "SIGKILL");
  CHECK(normal("add", R"({"path":"root","child":{"id":"a"}})")["child"] == R"({"id":"a"})");
  CHECK(normal("add", R"({"path":"root","child":"{ }"})")["child"] == "{ }");
}

TEST_CASE("bad parameters are named, with what was expected") {
  struct Row {
    const char* verb;
    const char* params;
    const char* complaint;
  };
  const Row rows[] = {
      {"status", R"({"path":"root"})", "status: unknown parameter \"path\"; this command has no parameters"},
      {"explain", "{}", "explain: missing parameter \"path\": expected a path such as root/web/echo"},
      {"explain", R"({"pth":"root"})", "explain: unknown parameter \"pth\"; did you mean \"path\"?"},
      {"explain", R"({"node":"root"})", "explain: unknown parameter \"node\"; known are path"},
      {"explain", R"({"path":3})", "explain: parameter \"path\": expected a path such as root/web/echo"},
      {"events", R"({"since":-1})", "events: parameter \"since\": expected the number of an event, 0 or more"},
      {"events", R"({"since":1.5})", "events: parameter \"since\": expected the number of an event, 0 or more"},
      {"events", R"({"follow":"yes"})", "events: parameter \"follow\": expected true or false"},
      {"events", R"({"follow":null})", "events: parameter \"follow\": expected true or false"},
      {"penalties", R"({"clear":"here"})",
       "penalties: parameter \"clear\": expected a network such as 192.0.2.0/24 or 2001:db8::/32, an address, or "
       "unix:uid=1000"},
      {"add", R"({"path":"root","child":[]})", "add: parameter \"child\": expected an object, or its text"},
      {"add", R"({"path":"root"})", "add: missing parameter \"child\": expected an object, or its text"}};
  for (const Row& row : rows) {
    INFO(row.params);
    CHECK(complaint(row.verb, row.params) == row.complaint);
  }
}

TEST_CASE("values that are nearly right are refused") {
  for (const char* path : {"", "/", "/root", "root/", "root//a", "root/a b", "root/\n", "root/\xc3\xa4"}) {
    INFO(path);
    CHECK_FALSE(value_of(Kind::path, path));
  }
  for (const char* change : {"", "+", "-", "+-1", "1.0", "1e3", " 1", "1 ", "0x1", "99999", "99999999999999999999"}) {
    INFO(change);
    CHECK_FALSE(value_of(Kind::change, change));
  }
  for (const char* id : {"", "xyz", "12345678901234567", "0x1"}) CHECK_FALSE(value_of(Kind::connection, id));
  for (const char* seq : {"", "-1", "+1", "18446744073709551616", "1a"}) CHECK_FALSE(value_of(Kind::sequence, seq));
  for (const char* source :
       {"", "unix:uid=", "unix:uid=-1", "unix:uid=4294967296", "192.0.2.1/33", "192.0.2.1/24", "x"}) {
    INFO(source);
    CHECK_FALSE(value_of(Kind::source, source));
  }
  CHECK(signal_word("poll") == "SIGIO");
  CHECK(signal_word("sigrtmin+3") == "SIGRTMIN+3");
  CHECK(signal_word("RTMIN+29") == "SIGRTMAX-1");
  CHECK(signal_word("37") == "SIGRTMIN+3");
  for (const char* signal :
       {"", "SIG", "0", "32", "33", "65", "RTMIN-1", "RTMIN+31", "RTMAX+1", "-9", "TERMX", "SIGSIGTERM"})
    CHECK(signal_word(signal).empty());
  CHECK(value_of(Kind::path, std::string(5000, 'a')) == std::nullopt);
}

}  // namespace
}  // namespace bulkhead::protocol
