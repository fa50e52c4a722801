// Compares bulkheadctl(8) with the command table, in both directions, and parses its examples.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "master/ctl/command_line.h"
#include "master/protocol/command_table.h"
#include "tests/docs/man_page.h"

namespace bulkhead::protocol {
namespace {

// "Ic events Op Fl -since Ar SEQ Op Fl f" as the page shows it: "events [--since SEQ] [-f]".
std::string rendered(const std::string& macros) {
  std::istringstream words(macros);
  std::string out;
  std::string dash;
  bool glued = true;
  bool closing = false;  // at the next Op, or at the end
  for (std::string word; words >> word;) {
    if (word == "Ic" || word == "Ar") continue;
    if (word == "Ns") {
      glued = true;
    } else if (word == "Fl") {
      dash = "-";
    } else if (word == "Oc" || (word == "Op" && closing)) {
      out += "]";
      closing = false;
    }
    if (word == "Op" || word == "Oo") {
      out += " [";
      glued = true;
      closing = word == "Op";
    }
    if (word == "Ns" || word == "Fl" || word == "Oc" || word == "Op" || word == "Oo") continue;
    const bool bar = word == "|";
    out += (glued || bar ? "" : " ") + dash + word;
    glued = bar;
    dash.clear();
  }
  return out + (closing ? "]" : "");
}

docs::Page read_page() {
  return docs::read_page("bulkheadctl.8");
}

std::vector<docs::Item> commands_of(docs::Page page) {
  std::erase_if(page.items, [](const docs::Item& item) { return item.section != "COMMANDS"; });
  return std::move(page.items);
}

TEST_CASE("every command is documented, with the table's words and in its order") {
  const std::vector<docs::Item> commands = commands_of(read_page());
  REQUIRE(commands.size() == kCommands.size());
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    const Command& command = kCommands.at(i);
    const docs::Item& item = commands.at(i);
    CHECK(rendered(item.head) == usage_of(command));
    REQUIRE_FALSE(item.lines.empty());
    CHECK(item.lines.front() == command.help);
    const bool tells_when_no = item.lines.back().starts_with("Exit status 1: ");
    CHECK(tells_when_no == !command.when_no.empty());
    if (tells_when_no) CHECK(item.lines.back() == "Exit status 1: " + std::string(command.when_no) + ".");
  }
}

TEST_CASE("every exit status is documented") {
  std::map<std::string, int> seen;
  for (const std::string& line : read_page().lines) ++seen[line];
  for (const int status : {ctl::kOk, ctl::kNo, ctl::kRefusedByDaemon, ctl::kCannotConnect, ctl::kCtlUsage}) {
    CHECK(seen[".It " + std::to_string(status)] == 1);
  }
}

// Another test runs them: tests/e2e/bulkheadctl_test.py.
TEST_CASE("every command is in an example, and every example can be parsed") {
  std::string examples;
  for (const std::string& block : read_page().examples) examples += block;
  CHECK(std::ranges::count(examples, '\n') >= 5);
  for (const Command& command : kCommands) {
    INFO(command.name);
    CHECK((examples.find(" " + std::string(command.name) + " ") != std::string::npos ||
           examples.find(" " + std::string(command.name) + "\n") != std::string::npos));
  }
  std::istringstream lines(examples);
  for (std::string example; std::getline(lines, example);) {
    INFO(example);
    std::istringstream words(example);
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) {
      std::erase(word, '\'');  // the shell's
      arguments.push_back(word);
    }
    REQUIRE(arguments.front() == "bulkheadctl");
    arguments.erase(arguments.begin());
    CHECK(ctl::parse_command_line(arguments).command != nullptr);
  }
}

}  // namespace
}  // namespace bulkhead::protocol
