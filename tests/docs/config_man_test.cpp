// Compares bulkhead.json(5) with the option table, in both directions, and reads its examples.
#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/config/option_table.h"
#include "tests/docs/man_page.h"
#include "tests/docs/takes_effect.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"
#include "worker/handlers/built_in.h"

namespace bulkhead::config {
namespace {

const std::map<std::string, Scope> kSections = {{"TOP LEVEL", Scope::top},
                                                {"ROOT SUPERVISOR", Scope::root},
                                                {"SUPERVISOR", Scope::supervisor},
                                                {"CHILDREN", Scope::child},
                                                {"LISTENER", Scope::listener},
                                                {"HANDLER", Scope::handler},
                                                {"HANDLER WITH A MODULE", Scope::module},
                                                {"PROCESS", Scope::process},
                                                {"CHILD KEYS", Scope::child_keys},
                                                {"USERS", Scope::user},
                                                {"SANDBOX", Scope::sandbox},
                                                {"SYSTEM CALLS", Scope::system_calls},
                                                {"PATHS", Scope::paths},
                                                {"NETWORK", Scope::network},
                                                {"RESOURCE LIMITS", Scope::rlimits},
                                                {"RESTART DELAY", Scope::restart_delay},
                                                {"RATE", Scope::rate},
                                                {"SOURCE PREFIX", Scope::source_prefix},
                                                {"PENALTIES", Scope::penalties},
                                                {"KEEPALIVE", Scope::keepalive},
                                                {"RULES", Scope::rule},
                                                {"DAEMON", Scope::daemon},
                                                {"CONTROL", Scope::control},
                                                {"LOG", Scope::log},
                                                {"LOG OF A CHILD", Scope::own_log}};

using docs::Item;

docs::Page read_page() {
  docs::Page page = docs::read_page("bulkhead.json.5");
  std::erase_if(page.items, [](const Item& item) { return !item.head.starts_with("Ic "); });
  for (Item& item : page.items) item.head.erase(0, 3);
  return page;
}

// The last lines of an item of the page; its first line is the help of the row.
std::vector<std::string> fixed_lines(const Option& option) {
  return {".Pp", "Type: " + std::string(type_text(option.type)) + ".", "Default: " + default_text(option) + ".",
          "Range: " + range_text(option) + ".", "Takes effect: " + docs::takes_effect(option) + "."};
}

TEST_CASE("every option is documented in its section, with the table's words") {
  const docs::Page page = read_page();
  for (const Option& option : kOptions) {
    INFO(scope_text(option.scope) << "/" << option.name);
    const Item* found = nullptr;
    for (const Item& item : page.items) {
      const auto section = kSections.find(item.section);
      if (section != kSections.end() && section->second == option.scope && item.head == option.name) found = &item;
    }
    REQUIRE(found != nullptr);
    const auto expected = fixed_lines(option);
    REQUIRE(found->lines.size() >= expected.size() + 1);
    CHECK(found->lines.at(0) == option.help);
    CHECK(std::vector<std::string>(found->lines.end() - static_cast<std::ptrdiff_t>(expected.size()),
                                   found->lines.end()) == expected);
  }
}

TEST_CASE("every documented option exists and is documented once") {
  std::map<std::pair<std::string, std::string>, int> seen;
  for (const Item& item : read_page().items) {
    INFO(item.section << "/" << item.head);
    CHECK(++seen[{item.section, item.head}] == 1);
    const auto section = kSections.find(item.section);
    REQUIRE(section != kSections.end());
    bool exists = false;
    for (const Option* option : options_of(section->second)) exists = exists || option->name == item.head;
    CHECK(exists);
  }
}

TEST_CASE("the built-in handlers are documented, in the table's order and with its words") {
  docs::Page page = docs::read_page("bulkhead.json.5");
  std::erase_if(page.items,
                [](const Item& item) { return item.section != "HANDLER" || !item.head.starts_with("Li "); });
  REQUIRE(page.items.size() == handlers::kBuiltIns.size());
  for (std::size_t i = 0; i < page.items.size(); ++i) {
    const Item& item = page.items[i];
    INFO(item.head);
    CHECK(item.head == "Li " + std::string(handlers::kBuiltIns[i].name));
    CHECK(item.lines.at(0).starts_with(handlers::kBuiltIns[i].help));
  }
}

TEST_CASE("every option that decides which clients are admitted is in an example") {
  std::string all;
  for (const std::string& example : read_page().examples) all += example;
  for (const char* key : {"allow",
                          "deny",
                          "rules",
                          "from",
                          "action",
                          "env",
                          "handler",
                          "proxy_protocol",
                          "proxy_allow_from",
                          "proxy_timeout",
                          "penalties",
                          "max_connections_per_source",
                          "source_prefix",
                          "max_rate_per_source",
                          "max_connection_rate",
                          "count",
                          "per",
                          "max_connections",
                          "on_full",
                          "banner",
                          "banner_fail",
                          "idle_timeout",
                          "first_byte_timeout",
                          "on_client_gone",
                          "count_bytes",
                          "stop_signal",
                          "max_lifetime"}) {
    INFO(key);
    CHECK(all.find("\"" + std::string(key) + "\":") != std::string::npos);
  }
}

TEST_CASE("every example can be loaded") {
  std::string directory = (std::filesystem::temp_directory_path() / "bulkhead-docs-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  std::filesystem::create_directory(directory + "/conf.d");
  std::ofstream(directory + "/shout.so") << "a library";
  std::ofstream(directory + "/app.env") << "NAME=value\n";
  const docs::Page page = read_page();
  CHECK(page.examples.size() >= 5);
  // A list is a file that another example includes.
  for (const std::string& example : page.examples) {
    if (example.starts_with("[")) std::ofstream(directory + "/conf.d/example.json") << example;
  }
  std::ofstream(directory + "/deny.txt") << "198.51.100.7  # a comment\n";
  for (const std::string& example : page.examples) {
    if (example.starts_with("[")) continue;
    INFO(example);
    CHECK(texts(parse(example, "example.json", directory, FakeHost())).empty());
  }
  std::filesystem::remove_all(directory);
}

// Checked by name only: a key of the same name elsewhere may be in another example.
TEST_CASE("every option is in an example") {
  std::string all;
  for (const std::string& example : read_page().examples) all += example;
  for (const Option& option : kOptions) {
    INFO(option.name);
    CHECK(all.find(fmt::format("\"{}\":", option.name)) != std::string::npos);
  }
}

}  // namespace
}  // namespace bulkhead::config
