// Keys that are right each by itself and make no sense together: one warning or problem each, at its place.
#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

struct Case {
  Shape shape;
  std::string_view fragment;
  std::string_view pointer;  // below the entry, and a part of the message
  std::string_view message;
};

constexpr std::string_view kUnix = R"({"id":"a","type":"listener","listen":"unix:/tmp/s","handler":"echo",)";

std::string warnings(Shape shape, std::string_view fragment) {
  const Loaded loaded = parse(file_of(shape, fragment), "f", "/etc", FakeHost());
  INFO(fragment << "\n" << texts(loaded));
  REQUIRE(loaded.config);
  std::string out;
  for (const Problem& warning : loaded.warnings) out += warning.text() + "\n";
  return out;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// clang-format off
constexpr Case kCases[] = {
    {Shape::listener, R"("workers":8,"max_connections":2)", "f:2:11: /supervisor/children/0/workers: ", "8 workers for at most 2 connections"},
    {Shape::listener, R"("max_connections":5,"max_connections_per_source":6)", "/max_connections_per_source: ", "it is above max_connections"},
    {Shape::listener, R"("max_rate_per_source":{"count":9,"per":"1s"},"max_connection_rate":{"count":9,"per":"1s"})", "/max_rate_per_source: ", "all sources together"},
    {Shape::listener, R"("allow":[])", "/allow: ", "no client is served"},
    {Shape::listener, R"("deny":["0.0.0.0/0","::/0"])", "/deny: ", "no client is served"},
    {Shape::listener, R"("allow":"10.0.0.0/8","deny":"10.0.0.0/8")", "/deny: ", "no client is served"},
    {Shape::listener, R"("allow":"10.0.0.0/8","rules":[{"from":"11.0.0.0/8","max_connections":1}])", "/rules/0/from: ", "refuse all of these clients"},
    {Shape::listener, R"("max_connections":5,"rules":[{"from":"11.0.0.0/8","max_connections":6}])", "/rules/0/max_connections: ", "above the listener's"},
    {Shape::listener, R"("proxy_timeout":"1s")", "/proxy_timeout: ", "proxy_protocol is \"off\""},
    {Shape::listener, R"("proxy_protocol":"v2","proxy_allow_from":[])", "/proxy_allow_from: ", "no client is served"},
    {Shape::listener, R"("penalties":{"crash":"1s"})", "/penalties: ", "their mode is \"off\""},
    {Shape::listener, R"("penalties":{"mode":"enforce","min":"5s","max":"5s"})", "/penalties: ", "none is longer than max"},
    {Shape::listener, R"("source_prefix":{"v4":24})", "/source_prefix: ", "no limit applies to a source"},
    {Shape::listener, R"("idle_timeout":"2m","max_lifetime":"1m")", "/idle_timeout: ", "max_lifetime is over before"},
    {Shape::listener, R"("max_accepts_jitter":9)", "/max_accepts_jitter: ", "max_accepts is \"unlimited\""},
    {Shape::listener, R"("max_seconds":9)", "/max_seconds: ", "max_restarts is \"unlimited\""},
    {Shape::listener, R"("normal_exit":[0,1])", "/normal_exit: ", "no exit status"},
    {Shape::listener, R"("mode":"0640")", "/mode: ", "it makes no Unix socket"},
    {Shape::listener, R"("ipv6only":true)", "/ipv6only: ", "no IPv6 address"},
    {Shape::listener, R"("stderr":"null","log_rate_limit":5)", "/log_rate_limit: ", "is not logged"},
    {Shape::process, R"("start_timeout":"5s")", "/start_timeout: ", "ready at once"},
    {Shape::process, R"("restart":"temporary","restart_delay":"none")", "/restart_delay: ", "never started again"},
    {Shape::process, R"("env":{"A":"x"},"unset_env":["A"])", "/env: ", "A is in unset_env too"},
    {Shape::process, R"("pass_env":["A"],"unset_env":["A"])", "/pass_env: ", "A is in unset_env too"},
    {Shape::root, R"("auto_shutdown":"any_significant")", "/supervisor/auto_shutdown: ", "none of its children is significant"},
    {Shape::child, R"({"id":"s","type":"supervisor","shutdown":"1s","children":[{"id":"p","type":"process","argv":["/bin/sh"],"shutdown":"2s"}]})", "/shutdown: ", "p has a longer shutdown"},
    {Shape::top, R"("log":{"level":"error","connections":["start"]})", "/log/connections: ", "the log's level is higher"},
    {Shape::top, R"("log":{"target":"/tmp/log","facility":"mail"})", "/log/facility: ", "does not go to a log daemon"},
    {Shape::top, R"("daemon":{"drain_timeout":"infinity","close_spread":"1s"})", "/daemon/close_spread: ", "\"infinity\""},
    {Shape::top, R"("daemon":{"reserved_connections":1})", "/daemon/reserved_connections: ", "max_connections is \"unlimited\""},
    {Shape::top, R"("daemon":{"max_connections":9,"reserved_connections":1})", "/daemon/reserved_connections: ", "no listener is \"reserved\""},
    {Shape::listener, R"("reserved":true)", "/reserved: ", "the daemon's max_connections is \"unlimited\""},
    {Shape::top, R"("control":{"group":"staff"})", "/control/group: ", "cannot connect"},
};
// clang-format on

TEST_CASE("a key without effect is a warning at its place") {
  for (const Case& one : kCases) {
    const std::string text = warnings(one.shape, one.fragment);
    INFO(one.fragment << "\n" << text);
    CHECK(has(text, one.pointer));
    CHECK(has(text, one.message));
    CHECK(has(text, ": warning: "));
  }
}

TEST_CASE("keys of TCP have no effect on Unix sockets") {
  for (const char* key :
       {R"("nodelay":false)", R"("keepalive":"off")", R"("rcvbuf":65536)", R"("deny":"10.0.0.0/8")"}) {
    const std::string text = warnings(Shape::child, std::string(kUnix) + key + "}");
    INFO(key << "\n" << text);
    CHECK(has(text, "it has no effect"));
  }
}

TEST_CASE("what makes sense is not warned of") {
  for (const char* keys :
       {R"("workers":2,"max_connections":2)", R"("allow":"127.0.0.1","deny":["0.0.0.0/0","::/0"])",
        R"("max_connections":6,"max_connections_per_source":6)",
        R"("deny":"10.0.0.0/8","rules":[{"from":"0.0.0.0/0"}])",
        R"("max_rate_per_source":{"count":9,"per":"1s"},"max_connection_rate":{"count":10,"per":"1s"})",
        R"("penalties":{"mode":"log","crash":"1s"},"source_prefix":{"v4":24})",
        R"("max_restarts":3,"max_seconds":9)"}) {
    CHECK(warnings(Shape::listener, keys) == "");
  }
  CHECK(warnings(Shape::top, R"("log":{"level":"error"},"control":{"group":"staff","mode":"0660"})") == "");
}

TEST_CASE("defaults for all listeners are not warned of where they have no effect") {
  const Loaded loaded = parse(R"({"supervisor":{"defaults":{"listener":{"nodelay":false}},"children":[
    {"id":"a","type":"listener","listen":"unix:/tmp/s","handler":"echo"}]}})",
                              "f", "/etc", FakeHost());
  REQUIRE(loaded.config);
  CHECK(loaded.warnings.empty());
}

TEST_CASE("what can never become ready or be reloaded is a problem") {
  const auto problems = [](std::string_view fragment) {
    return texts(parse(file_of(Shape::process, fragment), "f", "/etc", FakeHost()));
  };
  CHECK(has(problems(R"("ready":"notify_fd","unset_env":["NOTIFY_FD"])"),
            "/unset_env: it never becomes ready without NOTIFY_FD"));
  CHECK(has(problems(R"("stop_signal":"HUP","reload_signal":"HUP")"), "/reload_signal: it is the stop_signal too"));
}

}  // namespace
}  // namespace bulkhead::config
