// "1 connection", "2 connections": a number and its noun, for texts that people read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::config {

// `ending` makes the plural of `noun`: "es" for "process".
[[nodiscard]] inline std::string counted(std::uint64_t count, std::string_view noun, std::string_view ending = "s") {
  std::string out = std::to_string(count) + " ";
  out += noun;
  if (count != 1) out += ending;
  return out;
}

}  // namespace bulkhead::config
