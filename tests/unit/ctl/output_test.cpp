// The text output of bulkheadctl.
#include "master/ctl/output.h"

#include <catch2/catch.hpp>

#include "master/ctl/escape.h"
#include "master/ctl/table.h"

namespace bulkhead::ctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr Style kPlain{false, false};

const Json kTree = Json::parse(R"({
  "id":"root","path":"root","type":"supervisor","state":"running","restart":"permanent","restarts":0,
  "strategy":"one_for_one","max_restarts":3,"max_seconds":5.0,"restarts_in_window":1,"children":[
    {"id":"web","path":"root/web","type":"supervisor","state":"running","restarts":0,
     "strategy":"rest_for_one","max_restarts":1,"max_seconds":60,"restarts_in_window":0,"children":[
      {"id":"cache","path":"root/web/cache","type":"process","state":"waiting","restart":"transient","restarts":4,
       "restart_in_seconds":1.25},
      {"id":"echo","path":"root/web/echo","type":"listener","state":"running","restarts":0,
       "endpoints":[{"listen":"127.0.0.1:0","address":"127.0.0.1:4040"}],
       "connections":{"active":17,"adopted":2,"accepted":20,"completed":3,"crashed":0,"refused":{}},
       "workers":[{"id":"1","path":"root/web/echo/1","type":"worker","state":"running","pid":815,
                   "restart":"permanent","restarts":0,"generation":1}]}]},
    {"id":"job","path":"root/job","type":"process","state":"failed","restart":"temporary","restarts":0}]})");

TEST_CASE("the tree is drawn as a tree") {
  CHECK(tree_text(kTree, kPlain) ==
        "NODE         STATE    PID  RESTARTS\n"
        "root         running              0  supervisor, one_for_one, 1 of 3 restarts in 5 s\n"
        "|- web       running              0  supervisor, rest_for_one, 0 of 1 restart in 60 s\n"
        "|  |- cache  waiting              4  process, transient, starts in 1.2 s\n"
        "|  `- echo   running              0  listener 127.0.0.1:4040, 17 connections (2 adopted)\n"
        "|     `- 1   running  815         0  worker\n"
        "`- job       failed               0  process, temporary\n");
}

TEST_CASE("the tree shows what operators have made different") {
  const Json tree = Json::parse(R"({
    "id":"root","type":"supervisor","state":"running","restarts":0,"strategy":"one_for_one","max_restarts":3,
    "max_seconds":5.0,"restarts_in_window":0,"children":[
      {"id":"db","type":"process","state":"stopped","restarts":0,"differs":["stopped"]},
      {"id":"echo","type":"listener","state":"running","restarts":0,"endpoints":[{"address":"127.0.0.1:4040"}],
       "suspended":true,"differs":["suspended","scaled"],"file_workers":2,"workers":[]},
      {"id":"more","type":"process","state":"running","restarts":0,"differs":["added"]}],
    "missing":[{"id":"web","type":"supervisor","differs":["deleted"]}]})");
  CHECK(tree_text(tree, kPlain) ==
        "NODE     STATE    PID  RESTARTS\n"
        "root     running              0  supervisor, one_for_one, 0 of 3 restarts in 5 s\n"
        "|- db    stopped              0  process, stopped by an operator\n"
        "|- echo  running              0  listener 127.0.0.1:4040, suspended, scaled (2 in the file)\n"
        "|- more  running              0  process, added by an operator\n"
        "`- web   missing                 supervisor, deleted by an operator\n");
}

TEST_CASE("a diff tells what a reload would do and what it would leave") {
  const Json diff = Json::parse(R"({"ok":true,"changes":[{"path":"root/a","kind":"restarted","keys":["argv"]}],
    "needs_restart":[],"differs":[{"path":"root/db","differs":["stopped"]},
      {"path":"root/echo","differs":["suspended","scaled"],"file_workers":2,"workers":3}]})");
  CHECK(readable("diff", {}, diff, kPlain) ==
        "A reload would do this:\n  root/a is restarted (argv)\n"
        "Operators have made this different from the file, and only a reload with --reset ends it:\n"
        "  root/db is stopped\n  root/echo is suspended, has 3 workers instead of 2\n");
  const Json reset = Json::parse(R"({"ok":true,"changes":[{"path":"root/a","kind":"started","keys":[]},
    {"path":"root/b","kind":"resumed","keys":[]}],"needs_restart":[]})");
  CHECK(readable("reload", {}, reset, kPlain) ==
        "Reloaded:\n  root/a is started\n  root/b accepts connections again\n");
}

TEST_CASE("a reload that waits to be confirmed says so") {
  const Json reload = Json::parse(R"({"ok":true,"changes":[],"needs_restart":[],"confirm_seconds":59.2})");
  CHECK(readable("reload", {}, reload, kPlain) ==
        "Nothing changes.\nThe configuration before comes back in 1 min 0 s unless `bulkheadctl confirm` follows.\n");
  const Json status = Json::parse(R"({"state":"running","unconfirmed":{"remaining_seconds":7.0}})");
  CHECK(status_text(status, kPlain).ends_with("comes back in 7 s unless `bulkheadctl confirm` follows.\n"));
}

TEST_CASE("a node that waits for another one says for which") {
  const Json node = Json::parse(
      R"({"id":"a","path":"root/a","type":"process","state":"stopped","restarts":0,"waits_for":"root/b","sentences":[]})");
  CHECK(tree_text(node, kPlain).ends_with("process, waits for root/b\n"));
  CHECK(explain_text(node, kPlain) == "root/a is stopped and waits for root/b.\n");
}

TEST_CASE("lines and colours are used if the terminal supports them") {
  const std::string text = tree_text(kTree, {true, true});
  CHECK(text.find("│  └─ echo   \033[32mrunning\033[0m  ") != std::string::npos);
  CHECK(text.find("└─ job       \033[1;31mfailed\033[0m") != std::string::npos);
  CHECK(tree_text(kTree, {false, true}).find('\033') == std::string::npos);
}

TEST_CASE("an event is printed as one line") {
  struct Row {
    const char* event;
    const char* text;
  };
  const Row rows[] = {
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_exited","path":"root/echo/2","pid":812,
           "reason":{"type":"signal","signal":"SIGSEGV","core":false},"asked":false})",
       "12:04:05.123 root/echo/2  child_exited  pid 812 killed by SIGSEGV\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_exited","path":"root/echo/2","pid":812,
           "reason":{"type":"signal","signal":"SIGABRT","core":true},"asked":false})",
       "12:04:05.123 root/echo/2  child_exited  pid 812 killed by SIGABRT (core dumped)\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_exited","path":"root/a","pid":1,
           "reason":{"type":"exit","status":0},"asked":true})",
       "12:04:05.123 root/a  child_exited  pid 1 ended with exit status 0, as requested\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_restarting","path":"root/a","delay_ms":0,
           "restarts_in_window":1})",
       "12:04:05.123 root/a  child_restarting  at once, 1 in the window\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_restarting","path":"root/a","delay_ms":212,
           "restarts_in_window":2})",
       "12:04:05.123 root/a  child_restarting  in 0.212 s, 2 in the window\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"child_started","path":"root/a","pid":77})",
       "12:04:05.123 root/a  child_started  pid 77\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"intensity_exceeded","path":"root","child":"root/a",
           "max_restarts":3,"max_seconds":5.0})",
       "12:04:05.123 root  intensity_exceeded  child=root/a max_restarts=3 max_seconds=5.0\n"},
      {R"({"seq":9,"time":"2026-11-22T12:04:05.123Z","event":"supervisor_started","path":"root"})",
       "12:04:05.123 root  supervisor_started\n"}};
  for (const Row& row : rows) CHECK(event_text(Json::parse(row.event), kPlain) == row.text);
}

TEST_CASE("a status is printed as sentences") {
  const Json status = Json::parse(R"({"pid":812,"version":"0.1.0","state":"running","generation":1,
    "uptime_seconds":11530.2,"config":"/etc/bulkhead/bulkhead.json",
    "last_reload":{"time":"2026-11-22T12:04:05.123Z","ok":false,"errors":["x.json:1:2: /a: bad"]},
    "last_upgrade":{"time":"2026-11-22T13:04:05.123Z","ok":false,"version":"0.1.0","errors":["it hangs"]}})");
  CHECK(status_text(status, kPlain) ==
        "bulkheadd 0.1.0 (pid 812) is running, up for 3 h 12 min, generation 1.\n"
        "The configuration file is /etc/bulkhead/bulkhead.json.\n"
        "The last reload, at 2026-11-22T12:04:05.123Z, was rejected.\n"
        "  x.json:1:2: /a: bad\n"
        "The last upgrade, at 2026-11-22T13:04:05.123Z, was rolled back.\n"
        "  it hangs\n");
  const Json fresh = Json::parse(R"({"last_reload":{"time":null,"ok":true,"errors":[]},"last_upgrade":null})");
  CHECK(status_text(fresh, kPlain).find("The last") == std::string::npos);
}

TEST_CASE("connections and counters are printed as tables") {
  const Json connections = Json::parse(R"([
    {"id":"2f00000003","listener":"root/echo","pid":900,"worker":"root/echo/1","adopted":false,"peer":"192.0.2.7:5000",
     "local":"192.0.2.1:4040","started":"x","age_seconds":3.5,"handler":"echo","generation":1},
    {"id":"9","listener":"root/echo","pid":12,"worker":null,"adopted":true,"peer":"unix:uid=0,pid=1",
     "local":"","started":"x","age_seconds":4000,"handler":"echo","generation":1}])");
  CHECK(connections_text(connections, kPlain) ==
        "ID          LISTENER   PEER              PID  WORKER             AGE  HANDLER\n"
        "2f00000003  root/echo  192.0.2.7:5000    900  root/echo/1        3 s  echo\n"
        "9           root/echo  unix:uid=0,pid=1   12  adopted      1 h 6 min  echo\n");
  CHECK(connections_text(Json::array(), kPlain) == "No connections.\n");
  const Json stats = Json::parse(R"({"listeners":[{"path":"root/echo","connections":
    {"active":1,"adopted":0,"accepted":12,"completed":11,"crashed":2,"client_gone":3,"refused":{"rate":3,"proxy":0,"denied":1}}}],
    "totals":{"active":1,"adopted":0,"accepted":12,"completed":11,"crashed":2,"client_gone":3,"refused":{"rate":3}}})");
  CHECK(stats_text(stats, kPlain) ==
        "LISTENER   ACTIVE  ADOPTED  ACCEPTED  COMPLETED  CRASHED  CLIENT_GONE  REFUSED\n"
        "root/echo       1        0        12         11        2            3  rate=3 denied=1\n"
        "total           1        0        12         11        2            3  rate=3\n");
}

TEST_CASE("penalties are printed as a table") {
  const Json penalties = Json::parse(R"([
    {"listener":"root/echo","source":"192.0.2.7/32","active":true,"reason":"crash","remaining_seconds":74.2,
     "connections":1},
    {"listener":"root/echo","source":"2001:db8::/64","active":false,"reason":"exit","remaining_seconds":9.9,
     "connections":0}])");
  CHECK(penalties_text(penalties, kPlain) ==
        "LISTENER   SOURCE         REASON  REFUSED        LEFT  CONNECTIONS\n"
        "root/echo  192.0.2.7/32   crash   yes      1 min 14 s            1\n"
        "root/echo  2001:db8::/64  exit    not yet         9 s            0\n");
  CHECK(readable("penalties", Json::object(), Json::array(), kPlain) == "No source is penalised.\n");
  CHECK(readable("penalties", {{"clear", "::/0"}}, {{"ok", true}, {"message", "2 sources let off"}}, kPlain) ==
        "2 sources let off\n");
}

TEST_CASE("the result of a command is printed as a sentence") {
  const Json ok{{"ok", true}};
  CHECK(readable("stop", {{"path", "root/a"}}, ok, kPlain) == "root/a has been stopped\n");
  CHECK(readable("kill", {{"id", "2f00000003"}}, ok, kPlain) == "2f00000003 has been signalled\n");
  CHECK(readable("shutdown", Json::object(), ok, kPlain) == "the daemon is stopping\n");
  CHECK(readable("explain", Json::object(), {{"path", "root/a"}, {"state", "stopped"}, {"sentences", {"It ended."}}},
                 kPlain) == "root/a is stopped.\n  It ended.\n");
}

TEST_CASE("every command has a sentence for its result") {
  for (const char* verb :
       {"restart", "stop", "start", "delete", "add", "scale", "suspend", "resume", "kill", "shutdown"}) {
    INFO(verb);
    CHECK(readable(verb, Json::object(), {{"ok", true}}, kPlain).find('{') == std::string::npos);
  }
}

TEST_CASE("a peer's bytes reach the terminal only escaped") {
  CHECK(escaped("plain ~ text") == "plain ~ text");
  CHECK(escaped("\033[2J\n\r\t\x7f") == "\\x1b[2J\\x0a\\x0d\\x09\\x7f");
  CHECK(escaped("\xc2\x9b\xe2\x80\xae") == "\\xc2\\x9b\\xe2\\x80\\xae");
  CHECK(escaped(std::string("\0", 1)) == "\\x00");
  CHECK(escaped("Gr\u00fc\u00dfe \u65e5\u672c \U0001f600") == "Gr\u00fc\u00dfe \u65e5\u672c \U0001f600");
  const std::string evil = "\033]0;pwned\a\n\xc2\x9b";
  const Json event{{"time", evil}, {"event", evil}, {"path", evil}, {evil, evil}, {"nested", {evil}}};
  for (const std::string& text :
       {event_text(event, kPlain),
        connections_text(Json::array({{{"id", evil}, {"peer", evil}, {"handler", evil}}}), kPlain),
        tree_text({{"id", evil}, {"state", evil}, {"type", evil}, {"restart", evil}}, kPlain),
        stats_text({{"listeners", {{{"path", evil}, {"connections", {{"refused", {{evil, 1}}}}}}}}}, kPlain),
        explain_text({{"path", evil}, {"state", evil}, {"sentences", {evil}}}, kPlain),
        status_text({{"version", evil}, {"last_reload", {{"errors", {evil}}}}}, kPlain), json_text(event)}) {
    INFO(text);
    for (const char c : text) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
  }
}

TEST_CASE("results of an unexpected form are printed with parts missing") {
  for (const char* text :
       {"null", "3", "\"x\"", "[]", "{}", "[[]]", R"([3,"x",null])", R"({"children":[3,null],"workers":7})",
        R"({"connections":[],"endpoints":[1],"last_reload":{"errors":[{}]},"sentences":[{}]})"}) {
    const Json json = Json::parse(text);
    for (const char* verb : {"status", "tree", "connections", "stats", "explain", "logs", "config", "stop"}) {
      CHECK_NOTHROW(readable(verb, json, json, kPlain));
    }
    CHECK_NOTHROW(event_text(json, kPlain));
    CHECK_NOTHROW(logs_text(json));
    CHECK_NOTHROW(log_line_text(json));
  }
}

TEST_CASE("log lines are printed as they were logged, after what is not among them") {
  const Json result = Json::parse(R"({"path":"root/a","notes":["root/a writes its stdout to /a.out"],
    "lines":[{"seq":1,"path":"root/a","line":"one \\x1b"},{"missed":1},{"missed":7},{"seq":2,"path":"root/a","line":"t\u0007wo"}]})");
  CHECK(logs_text(result) ==
        "(root/a writes its stdout to /a.out)\none \\x1b\n(1 line dropped)\n(7 lines dropped)\nt\\x07wo\n");
}

TEST_CASE("durations are printed briefly") {
  CHECK(span_text(0) == "0 s");
  CHECK(span_text(-5) == "0 s");
  CHECK(span_text(59.9) == "59 s");
  CHECK(span_text(184) == "3 min 4 s");
  CHECK(span_text(86400 * 7 + 3600 * 8) == "7 d 8 h");
  CHECK(span_text(1e300) != "");
}

TEST_CASE("columns are as wide as the visible text") {
  Table table;
  table.add({{"├─ a"}, {"1", "", true}, {""}});
  table.add({{"b"}, {"22", "", true}, {"x"}});
  CHECK(table.text(false) == "├─ a   1\nb     22  x\n");
  CHECK(width_of("├─ a") == 4);
}

}  // namespace
}  // namespace bulkhead::ctl
