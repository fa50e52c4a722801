#include "master/ctl/table.h"

#include <algorithm>

namespace bulkhead::ctl {

namespace {

constexpr std::size_t kGap = 2;

std::vector<std::size_t> widths_of(const std::vector<std::vector<Cell>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i].text));
  }
  return widths;
}

}  // namespace

std::size_t width_of(const std::string& text) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins));
}

std::string painted(const std::string& text, const char* colour, bool wanted) {
  if (!wanted || *colour == '\0' || text.empty()) return text;
  return std::string("\033[") + colour + "m" + text + "\033[0m";
}

std::string Table::text(bool colour) const {
  const auto widths = widths_of(rows_);
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    std::size_t owed = 0;  // spaces that are written only if text follows them
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t padding = widths[i] - width_of(row[i].text);
      if (!row[i].text.empty()) {
        line += std::string(owed + (row[i].right ? padding : 0), ' ') + painted(row[i].text, row[i].colour, colour);
        owed = row[i].right ? 0 : padding;
      } else {
        owed += padding;
      }
      owed += kGap;
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace bulkhead::ctl
