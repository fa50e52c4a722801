// The values that good files are read to.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "master/config/tree_of_config.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;
using supervision::AutoShutdown;
using supervision::NodeType;
using supervision::Restart;
using supervision::Shutdown;
using supervision::Strategy;

Config good(std::string_view text, const Host& host) {
  const Loaded loaded = parse(text, "good.json", "/etc/bulkhead", host);
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  return *loaded.config;
}
Config good(std::string_view text) {
  return good(text, FakeHost());
}

TEST_CASE("in the smallest file the daemon has all its defaults") {
  const Config config = good(kSmallest);
  CHECK(config.file == "good.json");
  CHECK(config.drain_timeout == Timeout(30s));
  CHECK(config.control.socket == "/run/bulkhead/control.sock");
  CHECK(config.control.mode == 0600);
  CHECK_FALSE(config.control.group);
  CHECK(config.log.target == "stderr");
  CHECK(config.log.format == LogFormat::text);
  CHECK(config.log.level == LogLevel::info);
  CHECK_FALSE(config.log.connection_start);
  CHECK(config.log.connection_end);
}

TEST_CASE("connections are left to themselves when the root gives up, unless the file says otherwise") {
  CHECK(good(kSmallest).on_give_up == OnGiveUp::leave);
  CHECK(good(file_of(Shape::root, R"("on_give_up":"leave")")).on_give_up == OnGiveUp::leave);
  CHECK(good(file_of(Shape::root, R"("on_give_up":"stop")")).on_give_up == OnGiveUp::stop);
}

TEST_CASE("in the smallest file the root has all its defaults") {
  const Node root = good(kSmallest).root;
  CHECK(root.spec.id == "root");
  CHECK(root.spec.type == NodeType::supervisor);
  CHECK(root.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK(root.spec.flags.strategy == Strategy::one_for_one);
  CHECK_FALSE(root.spec.flags.max_restarts);
  CHECK(root.spec.flags.max_seconds == 5s);
  CHECK(root.spec.flags.auto_shutdown == AutoShutdown::never);
  CHECK_FALSE(root.spec.restart_delay.enabled);
  CHECK(root.pointer == "/supervisor");
  CHECK(root.file == "good.json");
  CHECK(root.children.size() == 1);
}

TEST_CASE("in the smallest file a listener has all its defaults") {
  const Node node = good(kSmallest).root.children.at(0);
  CHECK(node.spec.id == "echo");
  CHECK(node.spec.type == NodeType::listener);
  CHECK(node.spec.restart == Restart::permanent);
  CHECK_FALSE(node.spec.significant);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK_FALSE(node.spec.flags.max_restarts);
  CHECK(node.spec.flags.max_seconds == 5s);
  CHECK(node.start_timeout == Timeout(10s));
  CHECK(node.pointer == "/supervisor/children/0");
  REQUIRE(node.listener);
  CHECK_FALSE(node.process);
  const SocketOptions& sockets = node.listener->sockets;
  CHECK(sockets.backlog == 1024);
  CHECK(sockets.mode == 0660);
  CHECK_FALSE(sockets.owner);
  CHECK_FALSE(sockets.group);
  CHECK(sockets.nodelay);
  REQUIRE(sockets.keepalive);
  CHECK(sockets.keepalive->idle == 60s);
  CHECK(sockets.keepalive->interval == 10s);
  CHECK(sockets.keepalive->probes == 6);
  CHECK_FALSE(sockets.freebind);
  CHECK_FALSE(sockets.rcvbuf);
  CHECK_FALSE(sockets.sndbuf);
  CHECK_FALSE(node.listener->listen.at(0).ipv6only);
  CHECK(node.listener->listen.at(0).device.empty());
  CHECK(node.listener->workers == 4);
  CHECK(node.listener->max_connections == 1024);
  CHECK(node.listener->remarks.empty());
  CHECK(node.listener->connection_shutdown == 5s);
  CHECK(name_of(node.listener->handlers.front()) == "echo");
  REQUIRE(node.listener->child.identity);
  REQUIRE(node.listener->child.identity->pool);
  CHECK(node.listener->child.identity->pool->range == kDefaultUidPool);
  CHECK(node.listener->child.identity->groups.empty());
}

TEST_CASE("a restart delay is on by default, with the defaults of its row") {
  const auto delay = good(kSmallest).root.children.at(0).spec.restart_delay;
  CHECK(delay.enabled);
  CHECK(delay.min == 1s);
  CHECK(delay.max == 30s);
  CHECK(delay.factor == 2.0);
  CHECK(delay.jitter == 0.1);
  CHECK(delay.reset_after == 60s);
}

TEST_CASE("the smallest process has all defaults") {
  const Node node = good(file_of(Shape::process, R"("restart":"transient")")).root.children.at(0);
  CHECK(node.spec.type == NodeType::process);
  CHECK(node.spec.restart == Restart::transient);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::timeout);
  CHECK(node.spec.shutdown.timeout == 5s);
  REQUIRE(node.process);
  CHECK_FALSE(node.listener);
  CHECK(node.process->argv == std::vector<std::string>{"/bin/sh"});
  CHECK(node.process->ready == Ready::fork);
  CHECK_FALSE(node.process->watchdog);
  CHECK(node.process->normal_exit == std::vector<std::uint8_t>{0});
  CHECK(node.process->permanent_failure_exit.empty());
  CHECK(node.process->stop_signal == SIGTERM);
  CHECK(node.process->reload_signal == 0);
  CHECK(node.process->child.chdir == "/");
  CHECK(node.process->child.env.empty());
  CHECK(node.process->child.pass_env == std::vector<std::string>{"PATH", "TZ", "LANG"});
  CHECK_FALSE(node.process->child.identity);
}

TEST_CASE("every option of the daemon and the root can be set") {
  const Config config = good(kEverything);
  CHECK_FALSE(config.drain_timeout);
  CHECK(config.pid_file == "/run/bulkhead.pid");
  CHECK(config.lame_duck == 3s);
  CHECK(config.close_spread == 2s);
  CHECK(config.log.facility == 19);  // local3; RFC 5424, table 1
  CHECK(config.log.identity == "front");
  CHECK(config.control.socket == "/run/x/control.sock");
  CHECK(config.control.mode == 0660);
  CHECK(config.control.group == std::optional<std::uint32_t>(2000));
  CHECK(config.log.target == "/var/log/bulkhead.log");
  CHECK(config.log.format == LogFormat::json);
  CHECK(config.log.level == LogLevel::warning);
  CHECK(config.log.connection_start);
  CHECK(config.on_give_up == OnGiveUp::stop);
  CHECK(config.root.spec.flags.strategy == Strategy::rest_for_one);
  CHECK(config.root.spec.flags.max_restarts == 0);
  CHECK(config.root.spec.flags.max_seconds == 1500ms);
  CHECK(config.root.spec.flags.auto_shutdown == AutoShutdown::all_significant);
}

TEST_CASE("every option of a handler with a module can be set") {
  const Node node = good(kEverything).root.children.at(3);
  const auto& handler = std::get<ModuleHandler>(node.listener->handlers.front());
  CHECK(handler.path == "/bin/cat");
  CHECK(handler.options == "{\"a\":[1,null,{\"b\":\"\u00e9\\n\"}],\"c\":{}}");
  CHECK(name_of(handler) == "cat");
}

TEST_CASE("a library that other users may write to is not loaded") {
  const std::string path = (std::filesystem::temp_directory_path() / "bulkhead-config-test.so").string();
  std::ofstream(path) << "a library";
  const std::string file = file_of(
      Shape::child, R"({"id":"a","type":"listener","listen":"1","user":"alice","handler":{"module":")" + path + "\"}}");
  const auto problems = [&](std::filesystem::perms mode, std::uint32_t uid) {
    std::filesystem::permissions(path, mode);
    return texts(parse(file, "a.json", "/", FakeHost(uid)));
  };
  using std::filesystem::perms;
  CHECK(problems(perms(0644), 0).empty());
  CHECK(problems(perms(0664), 1000).empty());
  CHECK(problems(perms(0664), 0).ends_with("its group may write to it"));
  CHECK(problems(perms(0646), 1000).ends_with("all users may write to it"));
  std::filesystem::remove(path);
}

TEST_CASE("every option of a listener can be set") {
  const Node node = good(kEverything).root.children.at(0);
  CHECK(node.spec.significant);
  CHECK(node.spec.restart_delay.min == 0s);
  CHECK(node.spec.restart_delay.max == 1h);
  CHECK(node.spec.restart_delay.factor == 1.5);
  CHECK(node.spec.restart_delay.jitter == 0.0);
  CHECK(node.spec.restart_delay.reset_after == 2min);
  CHECK_FALSE(node.start_timeout);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK(node.listener->connection_shutdown == kForever);
  REQUIRE(node.listener->listen.size() == 4);
  CHECK(node.listener->listen[3].path == "/etc/bulkhead/run/x.sock");
  CHECK(node.listener->listen[3].text == "unix:run/x.sock");
  const SocketOptions& sockets = node.listener->sockets;
  CHECK(sockets.backlog == 1);
  CHECK(sockets.mode == 0600);
  CHECK(sockets.owner == 1000U);
  CHECK(sockets.group == 33U);
  CHECK_FALSE(sockets.nodelay);
  REQUIRE(sockets.keepalive);
  CHECK(sockets.keepalive->idle == 2s);  // the kernel counts in whole seconds
  CHECK(sockets.keepalive->interval == 32767s);
  CHECK(sockets.keepalive->probes == 1);
  CHECK(sockets.freebind);
  CHECK(sockets.rcvbuf == 65536U);
  CHECK(sockets.sndbuf == 4096U);
  for (const ListenAddress& address : node.listener->listen) {
    INFO(address.text);
    CHECK(address.ipv6only == address.is_ip());
    CHECK(address.device == (address.is_ip() ? "eth0" : ""));
  }
  CHECK(node.listener->workers == 3);
  CHECK(node.listener->max_connections == 1'000'000);
  CHECK(node.spec.flags.max_restarts == 1'000'000);
  CHECK(node.spec.flags.max_seconds == 60s);
  const auto& handler = std::get<ExecHandler>(node.listener->handlers.front());
  CHECK(handler.argv == std::vector<std::string>{"/bin/cat", "-u"});
  CHECK(handler.style == ExecStyle::inetd);
  REQUIRE(node.listener->child.identity);
  CHECK(node.listener->child.identity->name == "alice");
  CHECK(node.listener->child.identity->uid == 1000);
  CHECK(node.listener->child.identity->gid == 33);
}

TEST_CASE("the file of a Unix socket belongs to its owner, and to the group of the listener or else of the owner") {
  struct Row {
    const char* fragment;
    std::optional<std::uint32_t> owner;
    std::optional<std::uint32_t> group;
    std::uint32_t uid = 0;  // user id of the reader
  };
  const Row rows[] = {{R"("backlog":1)", std::nullopt, std::nullopt},
                      {R"("user":"alice")", std::nullopt, std::nullopt},
                      {R"("owner":"alice")", 1000, 1000},
                      {R"("owner":"alice","group":"staff")", 1000, 2000},
                      {R"("owner":"1000")", 1000, 1000},
                      {R"("owner":"4711")", 4711, std::nullopt},
                      {R"("group":"staff")", std::nullopt, 2000},
                      {R"("owner":"1000","group":"1000")", std::nullopt, std::nullopt, 1000}};
  for (const Row& row : rows) {
    INFO(row.fragment);
    const Node node = good(file_of(Shape::listener, row.fragment), FakeHost(row.uid)).root.children.at(0);
    CHECK(node.listener->sockets.owner == row.owner);
    CHECK(node.listener->sockets.group == row.group);
  }
}

TEST_CASE("keepalive can be off") {
  const Node node = good(file_of(Shape::listener, R"("keepalive":"off")")).root.children.at(0);
  CHECK_FALSE(node.listener->sockets.keepalive);
}

TEST_CASE("a listener has room for 64 addresses") {
  const auto problems = [](int count) {
    std::string list;
    for (int i = 1; i <= count; ++i) list += (i == 1 ? "\"" : ",\"") + std::to_string(i) + "\"";
    const std::string child = R"({"id":"a","type":"listener","handler":"echo","listen":[)" + list + "]}";
    return texts(parse(file_of(Shape::child, child), "t.json", "/", FakeHost()));
  };
  CHECK(problems(64).empty());
  CHECK(problems(65) == "t.json:2:55: /supervisor/children/0/listen: a listener may have at most 64 addresses, not 65");
}

TEST_CASE("every option of a process can be set") {
  const Node node = good(kEverything).root.children.at(1);
  CHECK(node.spec.restart == Restart::temporary);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::brutal_kill);
  CHECK(node.start_timeout == Timeout(250ms));
  CHECK_FALSE(node.spec.restart_delay.enabled);
  CHECK(node.process->argv == std::vector<std::string>{"/bin/sh", "-c", "exit 0"});
  CHECK(node.process->ready == Ready::sd_notify);
  CHECK(node.process->watchdog == Timeout(30s));
  CHECK(node.process->normal_exit == std::vector<std::uint8_t>{0, 1});
  CHECK(node.process->permanent_failure_exit == std::vector<std::uint8_t>{78, 100});
  CHECK(node.process->stop_signal == SIGUSR1);
  CHECK(node.process->reload_signal == SIGUSR2);
  CHECK(node.process->child.chdir == "/tmp");
  CHECK(node.process->child.env == std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", ""}});
  CHECK(node.process->child.pass_env.empty());
  REQUIRE(node.process->child.identity);
  CHECK(node.process->child.identity->name == "alice");
  CHECK(node.process->child.identity->gid == 2000);
}

TEST_CASE("a nested supervisor keeps its own flags and the order of its children") {
  const Node node = good(kEverything).root.children.at(2);
  CHECK(node.spec.type == NodeType::supervisor);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::timeout);
  CHECK(node.spec.shutdown.timeout == 1min);
  CHECK(node.spec.flags.strategy == Strategy::one_for_all);
  CHECK(node.spec.flags.max_restarts == 7);
  CHECK(node.spec.flags.auto_shutdown == AutoShutdown::any_significant);
  REQUIRE(node.children.size() == 1);
  CHECK(node.children[0].pointer == "/supervisor/children/2/children/0");
}

TEST_CASE("a supervisor has no time limit to stop, and may be empty") {
  const Node node = good(file_of(Shape::child, R"({"id":"s","type":"supervisor"})")).root.children.at(0);
  CHECK(node.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK(node.children.empty());
}

TEST_CASE("a listener's shutdown applies to its connections") {
  const Node killed = good(file_of(Shape::listener, R"("shutdown":"brutal_kill")")).root.children.at(0);
  CHECK(killed.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK(killed.listener->connection_shutdown == 0s);
  const Node asked = good(file_of(Shape::listener, R"("shutdown":"250ms")")).root.children.at(0);
  CHECK(asked.spec.shutdown.kind == Shutdown::Kind::infinity);
  CHECK(asked.listener->connection_shutdown == 250ms);
}

struct Workers {
  std::uint32_t cpus;
  const char* fragment;
  std::uint32_t workers;
};

TEST_CASE("automatic workers follow the CPUs up to 8") {
  const Workers rows[] = {{1, R"("workers":"auto")", 1},
                          {2, R"("workers":"auto")", 2},
                          {8, R"("workers":"auto")", 8},
                          {96, R"("backlog":5)", 8},
                          {96, R"("workers":20)", 20}};
  for (const Workers& row : rows) {
    INFO(row.cpus << " " << row.fragment);
    const Node node = good(file_of(Shape::listener, row.fragment), FakeHost(0, row.cpus)).root.children.at(0);
    CHECK(node.listener->workers == row.workers);
  }
}

TEST_CASE("max_restarts is unlimited by default, but 3 where a child has no delay") {
  using Limit = std::optional<std::uint32_t>;
  struct Row {
    const char* keys;  // of a process below the supervisor `s`
    const char* flags;
    Limit limit;
  };
  const Row rows[] = {{"", "", {}},
                      {R"(,"restart_delay":{"min":"0s"})", "", {}},
                      {R"(,"restart_delay":"none")", "", 3},
                      {R"(,"restart_delay":"none")", R"("max_restarts":"unlimited",)", {}},
                      {R"(,"restart_delay":"none")", R"("max_restarts":0,)", 0},
                      {"", R"("max_restarts":7,)", 7}};
  for (const Row& row : rows) {
    INFO(row.flags << row.keys);
    const std::string nested = std::string(R"({"id":"s","type":"supervisor",)") + row.flags +
                               R"("children":[{"id":"p","type":"process","argv":["/bin/true"]})" + "," +
                               R"({"id":"q","type":"process","argv":["/bin/true"])" + row.keys + "}]}";
    const Config config = good(file_of(Shape::child, nested));
    CHECK(config.root.children.at(0).spec.flags.max_restarts == row.limit);
    CHECK_FALSE(config.root.spec.flags.max_restarts);
  }
}

TEST_CASE("a listener without a delay has workers without one: 3 for it and for its supervisor") {
  const Config config = good(file_of(Shape::listener, R"("restart_delay":"none")"));
  CHECK(config.root.children.at(0).spec.flags.max_restarts == 3U);
  CHECK(config.root.spec.flags.max_restarts == 3U);
  const Config named = good(file_of(Shape::listener, R"("restart_delay":"none","max_restarts":"unlimited")"));
  CHECK_FALSE(named.root.children.at(0).spec.flags.max_restarts);
}

TEST_CASE("workers wait up to 5 s, and as their listener does if it says how") {
  const auto worker_of = [](const char* keys) {
    return tree_of_config(good(file_of(Shape::listener, keys)).root).children.at(0).children.at(0).restart_delay;
  };
  const auto plain = worker_of(R"("backlog":5)");
  CHECK(plain.min == 100ms);
  CHECK(plain.max == 5s);
  CHECK(plain.immediate_after_ready);
  const auto own = worker_of(R"("restart_delay":{"min":"2s"})");
  CHECK(own.min == 2s);
  CHECK(own.max == 30s);
  CHECK(own.immediate_after_ready);
  CHECK_FALSE(worker_of(R"("restart_delay":"none")").enabled);
}

struct SomeUser {
  std::uint32_t uid;  // of the daemon
  const char* fragment;
  const char* identity;  // "name uid gid", or "" when it is that of the daemon
};

std::string text_of(const std::optional<Identity>& identity) {
  if (!identity) return "";
  return identity->name + " " + std::to_string(identity->uid) + " " + std::to_string(identity->gid);
}

TEST_CASE("the identity of a process") {
  const SomeUser rows[] = {{0, R"("ready":"fork")", ""},
                           {0, R"("user":"root")", "root 0 0"},
                           {0, R"("user":"alice")", "alice 1000 1000"},
                           {0, R"("user":"1000","group":"staff")", "alice 1000 2000"},
                           {0, R"("user":"12345","group":"7")", "12345 12345 7"},
                           {0, R"("group":"staff")", "root 0 2000"},
                           {1000, R"("user":"alice")", ""},
                           {1000, R"("user":"1000","group":"1000")", ""}};
  for (const SomeUser& row : rows) {
    INFO(row.uid << " " << row.fragment);
    const Node node = good(file_of(Shape::process, row.fragment), FakeHost(row.uid)).root.children.at(0);
    CHECK(text_of(node.process->child.identity) == row.identity);
  }
}

TEST_CASE("the identity of a listener's connections") {
  const std::string exec = R"({"id":"a","type":"listener","listen":"1","handler":{"exec":["/bin/cat"]})";
  const auto identity = [](const std::string& child, std::uint32_t uid) {
    return text_of(good(file_of(Shape::child, child), FakeHost(uid)).root.children.at(0).listener->child.identity);
  };
  CHECK(identity(R"({"id":"a","type":"listener","listen":"1","handler":"echo"})", 1000).empty());
  CHECK(identity(exec + R"(,"user":"root"})", 0) == "root 0 0");
  CHECK(identity(exec + R"(,"user":"www-data"})", 0) == "www-data 33 33");
  CHECK(identity(exec + "}", 1000).empty());
}

TEST_CASE("relative paths are relative to the directory of the file") {
  const Loaded loaded = parse(file_of(Shape::child, R"({"id":"p","type":"process","argv":["./sh"],"chdir":"."})"),
                              "good.json", "/bin", FakeHost());
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  CHECK(loaded.config->root.children.at(0).process->argv.at(0) == "/bin/sh");
  const Loaded log = parse(file_of(Shape::top, R"("log":{"target":"log/x"},"control":{"socket":"x.sock"})"),
                           "good.json", "/srv", FakeHost());
  REQUIRE(log.config);
  CHECK(log.config->log.target == "/srv/log/x");
  CHECK(log.config->control.socket == "/srv/x.sock");
}

TEST_CASE("the same port may be bound on different addresses, and port 0 any number of times") {
  good(file_of(Shape::child, R"({"id":"a","type":"listener","handler":"echo",
    "listen":["127.0.0.1:80","127.0.0.2:80","[::1]:80","0","0","127.0.0.1:0","[::]:0","0.0.0.0:81"]})"));
}

TEST_CASE("a tree of the greatest allowed depth is read") {
  std::string text;
  std::string end;
  for (int i = 0; i < 14; ++i) {
    text += R"({"id":"s","type":"supervisor","children":[)";
    end += "]}";
  }
  good(file_of(Shape::child, text + R"({"id":"s","type":"supervisor"})" + end));
}

}  // namespace
}  // namespace bulkhead::config
