// What is wrong with a command line, in one line without the program's name, for both programs: an unknown option gets
// the nearest one suggested. All of it is here and not in a source file, because only the two files that read command
// lines include CLI11.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/nearest.h"

namespace bulkhead::protocol {

// The command that was named, or the program itself if none was.
[[nodiscard]] inline const CLI::App& innermost(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : innermost(*commands.front());
}

// Those that --help shows, of this command and of the program.
[[nodiscard]] inline std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
    for (const std::string& name : option->get_snames()) out.push_back("-" + name);
  }
  if (app.get_parent() == nullptr) return out;
  for (std::string& name : option_names(*app.get_parent())) out.push_back(std::move(name));
  return out;
}

// "stop: ", or nothing if no command was named.
[[nodiscard]] inline std::string subject_of(const CLI::App& command) {
  return command.get_parent() == nullptr ? "" : command.get_name() + ": ";
}

[[nodiscard]] inline std::string unknown_option_text(const CLI::App& command, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  const std::vector<std::string> known = option_names(command);
  const std::string near = config::nearest(name, {known.begin(), known.end()});
  return fmt::format("{}no option \"{}\"{}", subject_of(command), name,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

// `app` is the one whose parse() has thrown `error`.
[[nodiscard]] inline std::string usage_error_text(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = innermost(app);
  const std::vector<std::string> left = app.remaining(true);
  for (const std::string& word : left) {
    if (word.size() > 1 && word.starts_with('-')) return unknown_option_text(command, word);
  }
  const bool is_extra = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  if (is_extra && !left.empty()) return fmt::format("{}unexpected argument \"{}\"", subject_of(command), left.front());
  return error.what();
}

}  // namespace bulkhead::protocol
