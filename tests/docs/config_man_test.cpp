// bulkhead.json(5) against the option table, in both directions, and its examples against the reader.
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
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

const std::map<std::string, Scope> kSections = {{"TOP LEVEL", Scope::top},
                                                {"SUPERVISOR", Scope::supervisor},
                                                {"CHILDREN", Scope::child},
                                                {"LISTENER", Scope::listener},
                                                {"HANDLER", Scope::handler},
                                                {"PROCESS", Scope::process},
                                                {"RESTART DELAY", Scope::restart_delay},
                                                {"RATE", Scope::rate},
                                                {"SOURCE PREFIX", Scope::source_prefix},
                                                {"PENALTIES", Scope::penalties},
                                                {"DAEMON", Scope::daemon},
                                                {"CONTROL", Scope::control},
                                                {"LOG", Scope::log}};

struct Item {
  std::string section;
  std::string key;
  std::vector<std::string> lines;
};

struct Page {
  std::vector<Item> items;            // every .It Ic
  std::vector<std::string> examples;  // every literal block under EXAMPLES
};

Page read_page() {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/man/bulkhead.json.5");
  REQUIRE(file);
  Page page;
  std::string section;
  bool literal = false;
  for (std::string line; std::getline(file, line);) {
    for (std::size_t at; (at = line.find("\\(dq")) != std::string::npos;) line.replace(at, 4, "\"");
    if (line.starts_with(".Sh ")) section = line.substr(4);
    if (line.starts_with(".It Ic ")) page.items.push_back({section, line.substr(7), {}});
    if (line.starts_with(".El") || line.starts_with(".Sh ")) page.items.push_back({section, "", {}});
    if (!page.items.empty()) page.items.back().lines.push_back(line);
    if (line.starts_with(".Ed")) literal = false;
    if (literal) page.examples.back() += line + "\n";
    if (line.starts_with(".Bd -literal") && section == "EXAMPLES") {
      literal = true;
      page.examples.emplace_back();
    }
  }
  std::erase_if(page.items, [](const Item& item) { return item.key.empty(); });
  return page;
}

// What an item of the page has to end in; its first line is the row's help.
std::vector<std::string> fixed_lines(const Option& option) {
  return {".Pp", "Type: " + std::string(type_text(option.type)) + ".", "Default: " + default_text(option) + ".",
          "Range: " + range_text(option) + ".", "Takes effect: at restart of the daemon."};
}

TEST_CASE("every option is documented in its section, with the table's words") {
  const Page page = read_page();
  for (const Option& option : kOptions) {
    INFO(scope_text(option.scope) << "/" << option.name);
    const Item* found = nullptr;
    for (const Item& item : page.items) {
      const auto section = kSections.find(item.section);
      if (section != kSections.end() && section->second == option.scope && item.key == option.name) found = &item;
    }
    REQUIRE(found != nullptr);
    const auto expected = fixed_lines(option);
    REQUIRE(found->lines.size() >= expected.size() + 2);
    CHECK(found->lines.at(1) == option.help);
    CHECK(std::vector<std::string>(found->lines.end() - static_cast<std::ptrdiff_t>(expected.size()),
                                   found->lines.end()) == expected);
  }
}

TEST_CASE("nothing is documented that does not exist, and nothing twice") {
  std::map<std::pair<std::string, std::string>, int> seen;
  for (const Item& item : read_page().items) {
    INFO(item.section << "/" << item.key);
    CHECK(++seen[{item.section, item.key}] == 1);
    const auto section = kSections.find(item.section);
    REQUIRE(section != kSections.end());
    bool exists = false;
    for (const Option* option : options_of(section->second)) exists = exists || option->name == item.key;
    CHECK(exists);
  }
}

TEST_CASE("every example can be loaded") {
  std::string directory = (std::filesystem::temp_directory_path() / "bulkhead-docs-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  std::filesystem::create_directory(directory + "/conf.d");
  const Page page = read_page();
  CHECK(page.examples.size() >= 5);
  // A list is a file that another example includes.
  for (const std::string& example : page.examples) {
    if (example.starts_with("[")) std::ofstream(directory + "/conf.d/example.json") << example;
  }
  for (const std::string& example : page.examples) {
    if (example.starts_with("[")) continue;
    INFO(example);
    CHECK(texts(parse(example, "example.json", directory, FakeHost())).empty());
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bulkhead::config
