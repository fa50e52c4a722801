#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "master/config/command.h"
#include "master/config/identity.h"
#include "master/config/paths.h"
#include "master/config/tree_reader.h"

namespace bulkhead::config {
namespace {

// In the order of the words of `stop_signal`.
constexpr std::array kStopSignals{SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGALRM, SIGUSR1, SIGUSR2, SIGWINCH};

void set_watchdog(Context& context, Node& node, const Entry& entry) {
  if (!entry.given) return;
  node.process->watchdog = as_duration(entry.value);
  if (node.process->ready == Ready::sd_notify) return;
  context.report(entry.at(), entry.pointer(), "a watchdog needs \"ready\": \"sd_notify\"");
}

void set_permanent_failure_exit(Context& context, Node& node, const Entry& entry) {
  node.process->permanent_failure_exit = as_exit_statuses(entry.value);
  const auto& normal = node.process->normal_exit;
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    const std::uint8_t status = node.process->permanent_failure_exit[i];
    if (std::find(normal.begin(), normal.end(), status) == normal.end()) continue;
    context.report(entry.value.items[i].at, child_pointer(entry.pointer(), i),
                   fmt::format("{} is in normal_exit too; an end is one or the other", status));
  }
}

void set_chdir(Context& context, Node& node, const Entry& entry) {
  node.process->chdir = resolve_path(entry.value.text, context.directory());
  entry.effective.text = node.process->chdir;
  const std::string problem = why_not_directory(node.process->chdir);
  if (problem.empty()) return;
  context.report(entry.at(), entry.pointer(),
                 fmt::format("cannot change to {}: {}", in_quotes(node.process->chdir), problem));
}

void set_env(Context&, Node& node, const Entry& entry) {
  for (const Member& member : entry.value.members) node.process->env.emplace_back(member.key, member.value.text);
}

constexpr std::array kProcessSetters{
    Setter<Node>{"argv",
                 [](Context& context, Node& node, const Entry& e) { node.process->argv = read_command(context, e); }},
    Setter<Node>{"ready", [](Context&, Node& node, const Entry& e) { node.process->ready = as_enum<Ready>(e); }},
    Setter<Node>{"watchdog", set_watchdog},
    Setter<Node>{"normal_exit",
                 [](Context&, Node& node, const Entry& e) { node.process->normal_exit = as_exit_statuses(e.value); }},
    Setter<Node>{"permanent_failure_exit", set_permanent_failure_exit},
    Setter<Node>{"stop_signal",
                 [](Context&, Node& node, const Entry& e) {
                   node.process->stop_signal = kStopSignals[word_index(e.option, e.value)];
                 }},
    Setter<Node>{"chdir", set_chdir},
    Setter<Node>{"env", set_env},
    Setter<Node>{"pass_env",
                 [](Context&, Node& node, const Entry& e) { node.process->pass_env = as_strings(e.value); }},
    Setter<Node>{"user", [](Context&, Node&, const Entry&) {}},  // both at once: see read_process
    Setter<Node>{"group", [](Context&, Node&, const Entry&) {}},
};
static_assert(covers(kProcessSetters, Scope::process));

}  // namespace

void read_process(Context& context, const Section& section, Node& node, Value& effective) {
  node.process.emplace();
  read_options(context, section, Scope::process, kProcessSetters, node, effective);
  node.process->identity = read_identity(context, section, WithoutUser::unchanged);
}

}  // namespace bulkhead::config
