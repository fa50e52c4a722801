// bulkheadctl(8) against the command table, in both directions, and its examples against the parser.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "master/control/command_line.h"
#include "master/control/command_table.h"

namespace bulkhead::control {
namespace {

struct Item {
  std::string usage;
  std::vector<std::string> lines;
};

struct Page {
  std::vector<Item> commands;         // every .It Ic under COMMANDS
  std::vector<std::string> examples;  // every line of a literal block under EXAMPLES
};

// "Ic events Op Fl -since Ar SEQ Op Fl f" as a reader sees it: "events [--since SEQ] [-f]".
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

Page read_page() {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/man/bulkheadctl.8");
  REQUIRE(file);
  Page page;
  std::string section;
  bool literal = false;
  bool in_item = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(".Sh ")) section = line.substr(4);
    if (line.starts_with(".El") || line.starts_with(".Sh ")) in_item = false;
    if (in_item && !line.starts_with(".It ")) page.commands.back().lines.push_back(line);
    if (section == "COMMANDS" && line.starts_with(".It ")) {
      page.commands.push_back({rendered(line.substr(4)), {}});
      in_item = true;
    }
    if (line.starts_with(".Ed")) literal = false;
    if (literal) page.examples.push_back(line);
    if (line.starts_with(".Bd -literal") && section == "EXAMPLES") literal = true;
  }
  return page;
}

TEST_CASE("every command is documented, with the table's words and in its order") {
  const Page page = read_page();
  REQUIRE(page.commands.size() == kCommands.size());
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    const Command& command = kCommands.at(i);
    const Item& item = page.commands.at(i);
    CHECK(item.usage == usage_of(command));
    REQUIRE_FALSE(item.lines.empty());
    CHECK(item.lines.front() == command.help);
    const bool tells_when_no = item.lines.back().starts_with("Exit status 1: ");
    CHECK(tells_when_no == !command.when_no.empty());
    if (tells_when_no) CHECK(item.lines.back() == "Exit status 1: " + std::string(command.when_no) + ".");
  }
}

TEST_CASE("every exit status is documented") {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/man/bulkheadctl.8");
  std::map<std::string, int> seen;
  for (std::string line; std::getline(file, line);) ++seen[line];
  for (const int status : {kOk, kNo, kRefusedByDaemon, kCannotConnect, kCtlUsage}) {
    CHECK(seen[".It " + std::to_string(status)] == 1);
  }
}

TEST_CASE("every example can be parsed") {
  const Page page = read_page();
  CHECK(page.examples.size() >= 5);
  for (const std::string& example : page.examples) {
    INFO(example);
    std::istringstream words(example);
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    REQUIRE(arguments.front() == "bulkheadctl");
    arguments.erase(arguments.begin());
    CHECK(parse_command_line(arguments).command != nullptr);
  }
}

}  // namespace
}  // namespace bulkhead::control
