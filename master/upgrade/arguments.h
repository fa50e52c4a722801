// The hidden options by which one bulkheadd executes another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::upgrade {

inline constexpr std::string_view kAdopt = "--adopt=";             // STATE,PROGRAM: descriptors
inline constexpr std::string_view kRolledBack = "--rolled-back=";  // the reason
inline constexpr std::string_view kDryRun = "--dry-run";

[[nodiscard]] bool is_adopting_option(std::string_view argument);

// The command line of a program that is to take over from the state in the descriptor `state`, with the previous
// program in the descriptor `program` (-1: none).
[[nodiscard]] std::vector<std::string> adopting_arguments(std::vector<std::string> arguments, int state, int program);

}  // namespace bulkhead::upgrade
