#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "master/config/child_keys_reader.h"
#include "master/config/command.h"
#include "master/config/contradictions.h"
#include "master/config/own_log_reader.h"
#include "master/config/paths.h"
#include "master/config/tree_reader.h"
#include "master/config/trust.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::config {
namespace {

void set_ready(Context& context, Node& node, const Entry& entry) {
  node.process->ready = as_enum<Ready>(entry);
  if (!node.process->oneshot) return;
  entry.effective = Value{};
  if (entry.given) context.report(entry.at(), entry.pointer(), "a oneshot is ready when it has exited normally");
}

// A job that has been done is not done again.
void make_transient(Context& context, const Section& section, Node& node, Value& effective) {
  using supervision::Restart;
  const Member* const given = section.object.find("restart");
  if (given != nullptr && node.spec.restart != Restart::transient) {
    context.report(section.place_of("restart"), section.pointer_of("restart"),
                   "a oneshot is \"transient\", which need not be written");
  }
  node.spec.restart = Restart::transient;
  for (Member& member : effective.members) {
    if (member.key == "restart") member.value = string_value("transient");
  }
}

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
                   fmt::format("{} is in normal_exit too; it can be in only one of the two lists", status));
  }
}

// The master writes the file, so it must be able to, and nobody else must be able to put another one in its place.
Output read_output(Context& context, const Entry& entry) {
  if (entry.is_word()) return {as_enum<Output::Kind>(entry), ""};
  Output output{Output::Kind::file, resolve_path(entry.value.text, context.directory())};
  entry.effective.text = output.path;
  const std::string problem = why_not_writable(output.path);
  if (problem.empty()) return output;
  context.report(entry.at(), entry.pointer(), fmt::format("cannot write to {}: {}", in_quotes(output.path), problem));
  return output;
}

constexpr std::array kProcessSetters{
    Setter<Node>{"argv",
                 [](Context& context, Node& node, const Entry& e) { node.process->argv = read_command(context, e); }},
    Setter<Node>{"arg0", [](Context&, Node& node, const Entry& e) { node.process->arg0 = e.value.text; }},
    Setter<Node>{"start",
                 [](Context&, Node& node, const Entry& e) {
                   node.process->start = as_enum<StartBy>(e);
                   node.spec.manual = node.process->start == StartBy::operators;
                 }},
    Setter<Node>{"start_delay",
                 [](Context&, Node& node, const Entry& e) { node.spec.start_delay = as_duration(e.value); }},
    Setter<Node>{"oneshot", [](Context&, Node& node, const Entry& e) { node.process->oneshot = as_boolean(e.value); }},
    Setter<Node>{"pre_start",
                 [](Context& context, Node& node, const Entry& e) {
                   if (e.given) node.process->pre_start = read_command(context, e);
                 }},
    Setter<Node>{"post_stop",
                 [](Context& context, Node& node, const Entry& e) {
                   if (e.given) node.process->post_stop = read_command(context, e);
                 }},
    Setter<Node>{"ready", set_ready},
    Setter<Node>{"watchdog", set_watchdog},
    Setter<Node>{"normal_exit",
                 [](Context&, Node& node, const Entry& e) { node.process->normal_exit = as_exit_statuses(e.value); }},
    Setter<Node>{"permanent_failure_exit", set_permanent_failure_exit},
    Setter<Node>{"stop_signal", [](Context&, Node& node,
                                   const Entry& e) { node.process->stop_signal = sys::signal_number(e.value.text); }},
    Setter<Node>{"reload_signal",
                 [](Context&, Node& node, const Entry& e) {
                   if (e.given) node.process->reload_signal = sys::signal_number(e.value.text);
                 }},
    Setter<Node>{"stdout",
                 [](Context& context, Node& node, const Entry& e) { node.process->output = read_output(context, e); }},
    Setter<Node>{"stderr", [](Context& context, Node& node,
                              const Entry& e) { node.process->error_output = read_output(context, e); }},
    Setter<Node>{"log",
                 [](Context& context, Node& node, const Entry& e) { read_own_log(context, node.process->log, e); }},
    Setter<Node>{"log_rate_limit",
                 [](Context&, Node& node, const Entry& e) { set_log_rate_limit(node.process->child, e); }},
};
static_assert(covers(kProcessSetters, Scope::process));

}  // namespace

void read_process(Context& context, const Section& section, Node& node, Value& effective) {
  const InRoot root(context, section);
  node.process.emplace();
  read_options(context, section, Scope::process, kProcessSetters, node, effective);
  if (node.process->oneshot) make_transient(context, section, node, effective);
  read_child_keys(context, section, WithoutUser::unchanged, node.process->child, effective);
  check_sense_of_process(context, section, node);
}

}  // namespace bulkhead::config
