#include "master/ctl/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "bulkhead_version.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFooter =
    "Exit status: 0 success, 1 no such object or a negative answer, 2 refused by the daemon, 3 cannot connect,\n"
    "64 wrong usage.\n"
    "See bulkheadctl(8).";

bool on_command_line(const protocol::Parameter& parameter) {
  return !parameter.option.empty() || !parameter.placeholder.empty();
}

// Whether a fixed word comes before the value, as in "penalties clear PREFIX".
bool follows_a_word(const protocol::Parameter& parameter) {
  return !parameter.option.empty() && !parameter.option.starts_with('-');
}

void describe(CLI::App& verb, const protocol::Parameter& parameter) {
  const std::string help(parameter.help);
  if (parameter.kind == protocol::Kind::flag) {
    verb.add_flag(std::string(parameter.option), help);
    if (parameter.unless) verb.add_flag(fmt::format("--{}", parameter.name))->group("");
    return;
  }
  if (follows_a_word(parameter)) {
    CLI::App* word = verb.add_subcommand(std::string(parameter.option), help);
    word->add_option(std::string(parameter.placeholder), help)->required()->type_name("")->expected(1);
    return;
  }
  const bool positional = parameter.option.empty();
  CLI::Option* option = verb.add_option(std::string(positional ? parameter.placeholder : parameter.option), help);
  option->required(parameter.required);
  option->type_name(positional ? "" : std::string(parameter.placeholder));
  option->expected(1);
}

void describe(CLI::App& app, Invocation& out) {
  app.add_option("-s,--socket", out.socket, "The daemon's control socket")->type_name("SOCKET");
  app.add_flag("--json", out.json, "Print one JSON value instead of text");
  app.set_version_flag("--version", "bulkheadctl " BULKHEAD_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this and exit");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  for (const protocol::Command& command : protocol::kCommands) {
    CLI::App* verb = app.add_subcommand(std::string(command.name), std::string(command.help));
    verb->footer(fmt::format("In short: bulkheadctl {}", protocol::usage_of(command)));
    for (const protocol::Parameter& parameter : command.parameters) {
      if (on_command_line(parameter)) describe(*verb, parameter);
    }
  }
}

// An error text, or empty.
std::string read_parameter(const CLI::App& verb, const protocol::Command& command, const protocol::Parameter& parameter,
                           Json& params) {
  const bool after_word = follows_a_word(parameter);
  const std::string name(parameter.option.empty() || after_word ? parameter.placeholder : parameter.option);
  const CLI::App& at = after_word ? *verb.get_subcommand(std::string(parameter.option)) : verb;
  const CLI::Option* option = at.get_option(name);
  if (parameter.unless) params[std::string(parameter.name)] = option->count() == 0;
  if (parameter.unless || option->count() == 0) return {};
  if (parameter.kind == protocol::Kind::flag) {
    params[std::string(parameter.name)] = true;
    return {};
  }
  const std::string word = option->results().front();
  auto value = protocol::value_of(parameter.kind, word);
  if (!value)
    return fmt::format("{}: {}: expected {}, not \"{}\"", command.name, name, protocol::expectation(parameter.kind),
                       word);
  params[std::string(parameter.name)] = std::move(*value);
  return {};
}

void read_verb(const CLI::App& app, Invocation& out) {
  const CLI::App* verb = app.get_subcommands().front();
  out.command = protocol::find_command(verb->get_name());
  out.params = Json::object();
  for (const protocol::Parameter& parameter : out.command->parameters) {
    if (!on_command_line(parameter)) continue;
    out.message = read_parameter(*verb, *out.command, parameter, out.params);
    if (out.message.empty()) continue;
    out.command = nullptr;
    out.status = kCtlUsage;
    return;
  }
}

std::string unknown_verb_text(const std::string& word) {
  std::string text = protocol::unknown_command_text(word);
  return "no command" + text.substr(std::string_view("no method").size());
}

void explain_failure(const CLI::App& app, const CLI::ParseError& error, Invocation& out) {
  std::ostringstream text;
  std::ostringstream complaint;
  out.command = nullptr;
  out.status = app.exit(error, text, complaint) == 0 ? kOk : kCtlUsage;
  if (out.status == kOk) {
    out.message = text.str();
    return;
  }
  const auto left = app.remaining();
  const bool no_verb = app.get_subcommands().empty() && !left.empty() && !left.front().starts_with('-');
  out.message = no_verb ? unknown_verb_text(left.front()) : error.what();
}

}  // namespace

Invocation parse_command_line(std::vector<std::string> arguments) {
  Invocation out;
  CLI::App app("Inspects and controls a running bulkheadd.", "bulkheadctl");
  describe(app, out);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 wants them in reverse order
  try {
    app.parse(arguments);
    read_verb(app, out);
  } catch (const CLI::ParseError& error) {
    explain_failure(app, error, out);
  }
  return out;
}

}  // namespace bulkhead::ctl
