// --dump-config and the JSON Schema.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "master/config/json_reader.h"
#include "master/config/option_table.h"
#include "master/config/schema.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

std::string describe_config(const Config& config);

const std::vector<std::string>& good_files() {
  static const std::vector<std::string> files = {
      std::string(kSmallest), std::string(kEverything), file_of(Shape::process, R"("chdir":"/tmp")"),
      file_of(Shape::child,
              R"({"id":"a","type":"listener","listen":["0","unix:a.sock"],"handler":"echo","workers":7})"),
      file_of(Shape::child, R"({"id":"s","type":"supervisor"})")};
  return files;
}

TEST_CASE("the effective file loads again to the same configuration, in any directory") {
  for (const std::string& file : good_files()) {
    const Loaded first = parse(file, "first.json", "/etc", FakeHost());
    INFO(texts(first));
    REQUIRE(first.config);
    const Loaded second = parse(first.effective, "first.json", "/nowhere", FakeHost());
    INFO(texts(second) << first.effective);
    REQUIRE(second.config);
    CHECK(second.effective == first.effective);
    CHECK(describe_config(*second.config) == describe_config(*first.config));
  }
}

TEST_CASE("the effective file of a kernel without scopes loads again there, as the next program of an upgrade does") {
  FakeHost old;
  old.landlock = 2;
  for (const char* sandbox : {R"("sandbox":"basic")", R"("sandbox":"none")", R"("sandbox":{"network":"none"})"}) {
    const Loaded first = parse(file_of(Shape::listener, sandbox), "t.json", "/etc", old);
    REQUIRE(first.config);
    const Loaded second = parse(first.effective, "first.json", "/nowhere", old);
    INFO(texts(second));
    REQUIRE(second.config);
    CHECK(second.effective == first.effective);
  }
  CHECK_FALSE(parse(file_of(Shape::listener, R"("sandbox":{"scope":"connection"})"), "t.json", "/etc", old).config);
}

TEST_CASE("the effective file has every fixed default, in the order of the table") {
  const Loaded loaded = parse(kSmallest, "a.json", "/etc", FakeHost());
  std::size_t at = 0;
  for (const Scope scope : {Scope::daemon, Scope::control, Scope::log}) {
    for (const Option* option : options_of(scope)) {
      if (option->fallback.json.empty()) continue;
      const std::string line = "\"" + std::string(option->name) + "\": " + std::string(option->fallback.json);
      INFO(line);
      const std::size_t found = loaded.effective.find(line, at);
      REQUIRE(found != std::string::npos);
      at = found;
    }
  }
  CHECK(loaded.effective.starts_with("{\n  \"daemon\": {\n    \"drain_timeout\": \"30s\",\n"));
  CHECK(loaded.effective.ends_with("}\n"));
}

TEST_CASE("options without a default do not appear in the effective file") {
  const Loaded loaded = parse(kSmallest, "a.json", "/etc", FakeHost());
  for (const char* key : {"$schema", "include", "user", "group", "groups", "chroot", "nice", "stderr", "watchdog",
                          "reload_signal", "allow", "banner"}) {
    INFO(key);
    CHECK(loaded.effective.find("\"" + std::string(key) + "\":") == std::string::npos);
  }
}

TEST_CASE("the committed JSON Schema matches the table") {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/etc/bulkhead.schema.json");
  std::ostringstream committed;
  committed << file.rdbuf();
  INFO("to write it again: BULKHEAD_WRITE_SCHEMA=etc/bulkhead.schema.json config_test '[schema]'");
  CHECK(committed.str() == json_schema());
}

TEST_CASE("write the JSON Schema", "[.schema]") {
  const char* path = std::getenv("BULKHEAD_WRITE_SCHEMA");
  REQUIRE(path != nullptr);
  std::ofstream(path) << json_schema();
}

TEST_CASE("the JSON Schema names every option") {
  const Document document = read_json(json_schema());
  REQUIRE(document.root);
  const Value& definitions = document.root->find("definitions")->value;
  for (const Option& option : kOptions) {
    std::string holder(scope_text(option.scope));
    if (option.scope == Scope::child || option.scope == Scope::child_keys) holder = "child_process";
    if (option.scope == Scope::root) holder = "supervisor";
    if (option.scope == Scope::handler) holder = "handler_exec";
    if (option.scope == Scope::module) holder = "handler_module";
    if (option.scope == Scope::listener || option.scope == Scope::process) holder = "child_" + holder;
    INFO(holder << "/" << option.name);
    const bool top = option.scope == Scope::top;
    REQUIRE((top || definitions.find(holder) != nullptr));
    const Value& object = top ? *document.root : definitions.find(holder)->value;
    CHECK(object.find("properties")->value.find(option.name) != nullptr);
  }
}

void describe_sockets(std::ostream& out, const SocketOptions& options) {
  out << options.backlog << ' ' << options.mode << ' ' << options.owner.value_or(99) << ' '
      << options.group.value_or(99) << ' ' << options.nodelay << options.freebind << options.rcvbuf.value_or(0) << ' '
      << options.sndbuf.value_or(0) << ' ' << options.keepalive.has_value();
  if (options.keepalive) {
    out << options.keepalive->idle.count() << ' ' << options.keepalive->interval.count() << ' '
        << options.keepalive->probes;
  }
  out << '\n';
}

void describe_sandbox(std::ostream& out, const sandbox::Policy& policy) {
  out << policy.new_privileges << policy.capabilities << ' ' << static_cast<int>(policy.scope)
      << static_cast<int>(policy.calls.list) << static_cast<int>(policy.calls.then) << policy.files.restricted
      << policy.files.others_readable << policy.network << policy.ports.restricted << policy.write_execute << '\n';
  for (const auto* names :
       {&policy.calls.allow, &policy.calls.deny, &policy.files.read, &policy.files.write, &policy.files.execute}) {
    for (const auto& name : *names) out << name << ' ';
    out << '\n';
  }
  for (const auto* ports : {&policy.ports.connect, &policy.ports.bind}) {
    for (const auto port : *ports) out << port << ' ';
    out << '\n';
  }
}

// Everything in a Config that a file can set, as text, so that two can be compared.
void describe_child(std::ostream& out, const ChildKeys& keys) {
  if (keys.identity) {
    out << keys.identity->name << ' ' << keys.identity->uid << ' ' << keys.identity->gid;
    for (const auto group : keys.identity->groups) out << ' ' << group;
  }
  out << '\n'
      << keys.umask << keys.chdir << ' ' << keys.chroot << ' ' << keys.nice.value_or(99) << ' '
      << keys.ioprio.value_or(-1) << ' ' << keys.oom_score_adj.value_or(9999) << '\n';
  for (const Rlimit& limit : keys.rlimits) out << limit.resource << '=' << limit.value << ' ';
  for (const auto& [name, value] : keys.file_env) out << name << '=' << value << ' ';
  for (const auto& [name, value] : keys.env) out << name << '=' << value << ' ';
  for (const auto& one : keys.belongings.credentials) out << one.name << '=' << one.path << ' ';
  for (const auto& one : keys.belongings.directories) out << static_cast<int>(one.kind) << one.path() << ' ';
  for (const auto* names : {&keys.pass_env, &keys.unset_env}) {
    for (const auto& name : *names) out << name << ' ';
    out << '\n';
  }
  out << (keys.standard_error ? static_cast<int>(*keys.standard_error) : -1) << ' ' << keys.log_rate_limit.value_or(0)
      << static_cast<int>(keys.kill_mode) << '\n';
  describe_sandbox(out, keys.sandbox);
}

void describe_node(std::ostream& out, const Node& node) {
  const auto& spec = node.spec;
  out << spec.id << static_cast<int>(spec.type) << static_cast<int>(spec.restart) << spec.significant
      << static_cast<int>(spec.shutdown.kind) << ' ' << spec.shutdown.timeout.count() << ' '
      << spec.restart_delay.enabled << spec.restart_delay.min.count() << ' ' << spec.restart_delay.max.count() << ' '
      << spec.restart_delay.factor << ' ' << spec.restart_delay.jitter << ' ' << spec.restart_delay.reset_after.count()
      << ' ' << static_cast<int>(spec.flags.strategy) << spec.flags.max_restarts.value_or(1234567) << ' '
      << spec.flags.max_seconds.count() << static_cast<int>(spec.flags.auto_shutdown)
      << node.start_timeout.value_or(kForever).count() << node.pointer << '\n';
  if (node.listener) {
    const Listener& l = *node.listener;
    for (const auto& a : l.listen)
      out << static_cast<int>(a.form) << a.host << ' ' << a.port << ' ' << a.path << a.name << a.descriptor
          << a.ipv6only << a.device << '\n';
    for (const auto& network : l.allow.value_or(std::vector<Network>())) out << network.text << ' ';
    for (const auto& network : l.deny) out << network.text << ' ';
    for (const auto& rule : l.rules) {
      for (const auto& network : rule.from) out << network.text << ' ';
      for (const auto& [name, value] : rule.env) out << name << '=' << value << ' ';
      out << rule.deny << rule.max_connections << ' ' << rule.handler << ' ' << l.handlers.size() << '\n';
      for (const auto& time : {rule.max_lifetime, rule.idle_timeout, rule.first_byte_timeout})
        out << time.has_value() << time.value_or(kForever).value_or(kForever).count() << ' ';
      out << rule.without_rate << rule.max_rate_per_source.value_or(Rate()).count << '\n';
    }
    out << l.allow.has_value() << l.max_connection_rate.count << ' ' << l.max_connection_rate.per.count() << ' '
        << static_cast<int>(l.on_full) << l.max_lifetime.value_or(kForever).count() << l.stop_signal
        << static_cast<int>(l.on_client_gone) << l.count_bytes << l.first_byte_timeout.value_or(kForever).count()
        << l.banner << l.banner_fail << '\n';
    for (const auto status : l.normal_exit) out << int{status} << ' ';
    describe_sockets(out, l.sockets);
    const Recycling& recycling = l.recycling;
    out << recycling.max_accepts << ' ' << recycling.max_accepts_jitter << ' '
        << recycling.max_age.value_or(kForever).count() << ' ' << recycling.max_crashes.count << ' '
        << recycling.max_crashes.per.count() << '\n';
    out << l.workers << ' ' << l.max_unavailable.amount << l.max_unavailable.percent << ' ' << l.max_connections << ' '
        << l.connection_shutdown.count() << ' ' << l.handlers.front().index() << name_of(l.handlers.front()) << '\n';
    describe_child(out, l.child);
    for (const auto& network : l.proxy.allow_from) out << network.text << ' ';
    out << static_cast<int>(l.proxy.protocol) << l.proxy.timeout.count() << ' ' << l.handshake_timeout.count() << '\n';
  }
  if (const auto* exec = node.listener ? std::get_if<ExecHandler>(&node.listener->handlers.front()) : nullptr) {
    out << exec->arg0 << '\n';
  }
  if (const auto* module = node.listener ? std::get_if<ModuleHandler>(&node.listener->handlers.front()) : nullptr) {
    out << module->path << module->options << '\n';
  }
  if (node.process) {
    const Process& p = *node.process;
    for (const auto& arg : p.argv) out << arg << ' ';
    out << p.arg0 << ' ' << static_cast<int>(p.start) << p.oneshot << spec.manual << spec.start_delay.count() << ' ';
    for (const auto* command : {&p.pre_start, &p.post_stop}) {
      for (const auto& arg : *command) out << arg << ' ';
    }
    for (const auto status : p.normal_exit) out << int{status} << ' ';
    for (const auto status : p.permanent_failure_exit) out << int{status} << ' ';
    out << static_cast<int>(p.ready) << p.watchdog.value_or(kForever).count() << ' ' << p.stop_signal << ' '
        << p.reload_signal << '\n';
    describe_child(out, p.child);
  }
  for (const Node& child : node.children) describe_node(out, child);
}

std::string describe_config(const Config& config) {
  std::ostringstream out;
  out << config.drain_timeout.value_or(kForever).count() << config.log.target << static_cast<int>(config.log.format)
      << static_cast<int>(config.log.level) << config.log.connection_start << config.log.connection_end
      << config.control.socket << config.control.mode << ' ' << config.control.group.value_or(0)
      << static_cast<int>(config.on_give_up) << '\n';
  describe_node(out, config.root);
  return out.str();
}

}  // namespace
}  // namespace bulkhead::config
