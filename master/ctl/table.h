// Rows of cells as text in columns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bulkhead::ctl {

struct Cell {
  std::string text;
  const char* colour = "";  // an SGR sequence's parameters, such as "32"; empty: none
  bool right = false;       // aligned to the right
};

class Table {
 public:
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text(bool colour) const;

 private:
  std::vector<std::vector<Cell>> rows_;
};

// `text` in that colour, if `wanted`.
[[nodiscard]] std::string painted(const std::string& text, const char* colour, bool wanted);

// The number of terminal columns of UTF-8 text that bulkheadctl prints: one for every character.
[[nodiscard]] std::size_t width_of(const std::string& text);

}  // namespace bulkhead::ctl
