// A page of man/ as the tests compare it with the tables: its tagged items and the literal blocks of its EXAMPLES, in
// mdoc(7).
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::docs {

struct Item {
  std::string section;             // "COMMANDS"
  std::string head;                // what follows .It
  std::vector<std::string> lines;  // up to the next item, or the end of the list or section
};

struct Page {
  std::vector<std::string> lines;
  std::vector<Item> items;
  std::vector<std::string> examples;  // one literal block each, with its line breaks
};

inline Page read_page(const std::string& name) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/man/" + name);
  if (!file) throw std::runtime_error("no page " + name);
  Page page;
  std::string section;
  bool literal = false;
  bool in_item = false;
  for (std::string line; std::getline(file, line);) {
    for (std::size_t at; (at = line.find("\\(dq")) != std::string::npos;) line.replace(at, 4, "\"");
    for (std::size_t at; (at = line.find("\\e")) != std::string::npos;) line.replace(at, 2, "\\");
    page.lines.push_back(line);
    if (line.starts_with(".Sh ")) section = line.substr(4);
    if (line.starts_with(".El") || line.starts_with(".Sh ")) in_item = false;
    if (line.starts_with(".Ed")) literal = false;
    if (literal) page.examples.back() += line + "\n";
    if (line.starts_with(".Bd -literal") && section == "EXAMPLES") {
      literal = true;
      page.examples.emplace_back();
    }
    if (line.starts_with(".It ")) {
      page.items.push_back({section, line.substr(4), {}});
      in_item = true;
    } else if (in_item) {
      page.items.back().lines.push_back(line);
    }
  }
  return page;
}

}  // namespace bulkhead::docs
