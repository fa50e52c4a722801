#include "master/ctl/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <utility>

#include "bulkhead_version.h"
#include "master/protocol/usage_error.h"

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

void describe(CLI::App& verb, const protocol::Command& command, const protocol::Parameter& parameter) {
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
  option->required(parameter.required && protocol::alternative_to(command, parameter) == nullptr);
  option->type_name(positional ? "" : std::string(parameter.placeholder));
  option->expected(1);
  if (protocol::is_repeated(parameter)) option->take_all();
  if (protocol::takes_several(command, parameter)) option->expected(-1)->take_all();  // -1: at least one
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
      if (on_command_line(parameter)) describe(*verb, command, parameter);
    }
  }
}

// The words that the command line has for a parameter, and the name by which messages call it.
struct Words {
  std::string name;
  std::vector<std::string> words;
};

Words words_for(const CLI::App& verb, const protocol::Parameter& parameter) {
  const bool after_word = follows_a_word(parameter);
  Words out{std::string(parameter.option.empty() || after_word ? parameter.placeholder : parameter.option), {}};
  const CLI::App& at = after_word ? *verb.get_subcommand(std::string(parameter.option)) : verb;
  out.words = at.get_option(out.name)->results();
  return out;
}

std::string wrong_value_text(const protocol::Command& command, const protocol::Parameter& parameter,
                             const std::string& name, const std::string& word) {
  return fmt::format("{}: {}: expected {}, not \"{}\"{}", command.name, name, protocol::expectation(parameter.kind),
                     word, protocol::suggestion(parameter.kind, word));
}

// Of a command for each of which there may be several: an error text, or empty.
std::string read_targets(const protocol::Command& command, const protocol::Parameter& parameter, const Words& given,
                         Invocation& out) {
  for (const std::string& word : given.words) {
    std::string target = protocol::pattern_of(word);
    const auto path = target.empty() ? protocol::value_of(parameter.kind, word) : std::nullopt;
    if (target.empty() && !path) return wrong_value_text(command, parameter, given.name, word);
    out.targets.push_back(path ? path->get<std::string>() : std::move(target));
  }
  const bool is_one = out.targets.size() == 1 && protocol::pattern_of(out.targets.front()).empty();
  if (!is_one) return {};
  out.params[std::string(parameter.name)] = out.targets.front();
  out.targets.clear();
  return {};
}

std::string read_list(const protocol::Command& command, const protocol::Parameter& parameter, const Words& given,
                      Json& out) {
  out = Json::array();
  for (const std::string& word : given.words) {
    auto value = protocol::value_of(parameter.kind, word);
    if (!value) return wrong_value_text(command, parameter, given.name, word);
    out.push_back(std::move(*value));
  }
  return {};
}

// An error text, or empty.
std::string read_parameter(const protocol::Command& command, const protocol::Parameter& parameter, const Words& given,
                           Invocation& out) {
  const std::string name(parameter.name);
  if (parameter.unless) out.params[name] = given.words.empty();
  if (parameter.unless || given.words.empty()) return {};
  if (parameter.kind == protocol::Kind::flag) {
    out.params[name] = true;
    return {};
  }
  if (parameter.each != protocol::Each::no) return read_targets(command, parameter, given, out);
  if (protocol::is_repeated(parameter)) return read_list(command, parameter, given, out.params[name]);
  auto value = protocol::value_of(parameter.kind, given.words.front());
  if (!value) return wrong_value_text(command, parameter, given.name, given.words.front());
  out.params[name] = std::move(*value);
  return {};
}

std::string first_of(const std::vector<std::string>& words) {
  return words.empty() ? "" : words.front();
}

std::size_t next_positional(const protocol::Command& command, std::size_t after) {
  std::size_t at = after + 1;
  while (at < command.parameters.size() && !command.parameters[at].option.empty()) ++at;
  return at;
}

// What an option takes the place of leaves its words to the parameter that follows: "kill --peer 192.0.2.7 KILL".
std::string shift_words(const protocol::Command& command, std::vector<Words>& given) {
  for (std::size_t i = 0; i < given.size(); ++i) {
    const protocol::Parameter& parameter = command.parameters[i];
    const protocol::Parameter* const other = protocol::alternative_to(command, parameter);
    if (other == nullptr) continue;
    const bool replaced = !given[static_cast<std::size_t>(other - command.parameters.data())].words.empty();
    if (!replaced && given[i].words.empty()) return fmt::format("{}: {} is required", command.name, given[i].name);
    if (!replaced || given[i].words.empty()) continue;
    const std::size_t next = next_positional(command, i);
    const std::string unexpected = next == given.size() ? given[i].words.front() : first_of(given[next].words);
    if (!unexpected.empty()) return fmt::format("{}: unexpected argument \"{}\"", command.name, unexpected);
    given[next].words = std::exchange(given[i].words, {});
  }
  return {};
}

std::string read_parameters(const CLI::App& verb, Invocation& out) {
  std::vector<Words> given;
  for (const protocol::Parameter& parameter : out.command->parameters) {
    given.push_back(on_command_line(parameter) ? words_for(verb, parameter) : Words{});
  }
  if (std::string wrong = shift_words(*out.command, given); !wrong.empty()) return wrong;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!on_command_line(out.command->parameters[i])) continue;
    std::string wrong = read_parameter(*out.command, out.command->parameters[i], given[i], out);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

void read_verb(const CLI::App& app, Invocation& out) {
  const CLI::App* verb = app.get_subcommands().front();
  out.command = protocol::find_command(verb->get_name());
  out.params = Json::object();
  out.message = read_parameters(*verb, out);
  if (out.message.empty() && out.params.contains("crash") && !out.params.contains("config")) {
    out.message = "simulate: --crash needs the tree of a configuration: --config FILE";
  }
  if (out.message.empty()) return;
  out.command = nullptr;
  out.status = kCtlUsage;
}

constexpr std::string_view kNoVerb = "A subcommand is required";  // as CLI11 says it

std::string unknown_verb_text(const std::string& word) {
  return fmt::format("no command \"{}\"", word) + protocol::nearest_command(word, true);
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
  out.message = no_verb ? unknown_verb_text(left.front()) : protocol::usage_error_text(app, error);
  if (out.message == kNoVerb) out.message = "a command is missing; --help lists the commands";
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
