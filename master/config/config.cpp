#include "master/config/config.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "master/config/context.h"
#include "master/config/contradictions.h"
#include "master/config/expand_children.h"
#include "master/config/foresight.h"
#include "master/config/identity.h"
#include "master/config/paths.h"
#include "master/config/room_reader.h"
#include "master/config/section.h"
#include "master/config/tree_reader.h"
#include "master/config/trust.h"
#include "master/config/uid_pool.h"
#include "master/config/variables.h"

namespace bulkhead::config {
namespace {

constexpr std::array kDaemonSetters{
    Setter<Config>{"drain_timeout",
                   [](Context&, Config& config, const Entry& e) {
                     config.drain_timeout = e.is_word() ? Timeout() : Timeout(as_duration(e.value));
                   }},
    Setter<Config>{"pid_file",
                   [](Context& context, Config& config, const Entry& e) {
                     if (!e.given) return;
                     config.pid_file = resolve_path(e.value.text, context.directory());
                     foresee_pid_file(context, e, config.pid_file);
                     e.effective = string_value(config.pid_file);
                   }},
    Setter<Config>{"lame_duck",
                   [](Context&, Config& config, const Entry& e) { config.lame_duck = as_duration(e.value); }},
    Setter<Config>{"close_spread",
                   [](Context&, Config& config, const Entry& e) { config.close_spread = as_duration(e.value); }},
    Setter<Config>{"max_connections",
                   [](Context& context, Config& config, const Entry& e) {
                     if (e.is_word()) return;
                     config.max_connections = as_integer(e.value);
                     context.limits_all_connections();
                   }},
    Setter<Config>{"reserved_connections",
                   [](Context&, Config& config, const Entry& e) {
                     if (e.given) config.reserved_connections = as_integer(e.value);
                   }},
    Setter<Config>{"uid_pool",
                   [](Context& context, Config& config, const Entry& e) {
                     config.uid_pool = context.pools().of_daemon = read_uid_pool(context, e);
                   }},
};
static_assert(covers(kDaemonSetters, Scope::daemon));

void set_socket(Context& context, Control& control, const Entry& entry) {
  control.socket = entry.given ? resolve_path(entry.value.text, context.directory()) : context.host().control_socket();
  entry.effective = string_value(control.socket);
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (control.socket.size() > kMost) {
    context.report(entry.at(), entry.pointer(),
                   fmt::format("the path of a Unix socket may have at most {} bytes, this one has {}", kMost,
                               control.socket.size()));
    return;
  }
  ListenAddress address;
  address.text = "unix:" + control.socket;
  address.form = ListenAddress::Form::unix_path;
  address.path = control.socket;
  context.claim_address(address, entry.at(), entry.pointer());
  if (entry.given) foresee_control_socket(context, entry, control.socket);
}

void set_control_group(Context& context, Control& control, const Entry& entry) {
  if (!entry.given) return;
  control.group = find_group(context.host(), entry.value.text);
  if (control.group) return;
  context.report(entry.at(), entry.pointer(),
                 fmt::format("no group {} in the group database", in_quotes(entry.value.text)));
}

constexpr std::array kControlSetters{
    Setter<Control>{"socket", set_socket},
    Setter<Control>{"mode",
                    [](Context&, Control& control, const Entry& e) {
                      control.mode = static_cast<std::uint32_t>(std::stoul(e.value.text, nullptr, 8));
                    }},
    Setter<Control>{"group", set_control_group},
};
static_assert(covers(kControlSetters, Scope::control));

void set_log_target(Context& context, Log& log, const Entry& entry) {
  log.target = entry.is_word() ? entry.value.text : resolve_path(entry.value.text, context.directory());
  log.target_explicit = entry.given;
  entry.effective.text = log.target;
  foresee_log_target(context, entry, log.target);
}

// RFC 5424, table 1: the words are in its order, except for the gap between ftp and local0.
void set_log_facility(Context&, Log& log, const Entry& entry) {
  constexpr std::uint32_t kFtp = 11;
  constexpr std::uint32_t kLocal0 = 16;
  log.facility = as_enum<std::uint32_t>(entry);
  if (log.facility > kFtp) log.facility += kLocal0 - kFtp - 1;
}

void set_log_connections(Context&, Log& log, const Entry& entry) {
  const auto listed = as_strings(entry.value);
  log.connection_start = std::find(listed.begin(), listed.end(), "start") != listed.end();
  log.connection_end = std::find(listed.begin(), listed.end(), "end") != listed.end();
}

constexpr std::array kLogSetters{
    Setter<Log>{"target", set_log_target},
    Setter<Log>{"format", [](Context&, Log& log, const Entry& e) { log.format = as_enum<LogFormat>(e); }},
    Setter<Log>{"level", [](Context&, Log& log, const Entry& e) { log.level = as_enum<LogLevel>(e); }},
    Setter<Log>{"addresses", [](Context&, Log& log, const Entry& e) { log.addresses = as_enum<LogAddresses>(e); }},
    Setter<Log>{"connections", set_log_connections},
    Setter<Log>{"facility", set_log_facility},
    Setter<Log>{"identity", [](Context&, Log& log, const Entry& e) { log.identity = e.value.text; }},
};
static_assert(covers(kLogSetters, Scope::log));

constexpr std::array kRootSetters{
    Setter<Config>{"on_give_up",
                   [](Context&, Config& config, const Entry& e) { config.on_give_up = as_enum<OnGiveUp>(e); }},
};
static_assert(covers(kRootSetters, Scope::root));

// The children come last: see read_includes().
void set_root(Context& context, Config& config, const Entry& entry) {
  Node& root = config.root;
  root.spec.id = "root";
  root.spec.type = supervision::NodeType::supervisor;
  root.spec.shutdown = {supervision::Shutdown::Kind::infinity, {}};
  root.file = context.file();
  root.pointer = entry.pointer();
  const Section section{entry.value, root.pointer, entry.at()};
  check_keys(context, section, {Scope::root, Scope::supervisor}, "in supervisor");
  Value effective = object_value({});
  read_options(context, section, Scope::root, kRootSetters, config, effective);
  read_supervisor(context, section, root, effective);
  entry.effective = std::move(effective);
}

constexpr std::array kTopSetters{
    Setter<Config>{"$schema", [](Context&, Config&, const Entry&) {}},
    Setter<Config>{"daemon", [](Context& context, Config& config,
                                const Entry& e) { read_object(context, e, kDaemonSetters, config, "in daemon"); }},
    Setter<Config>{"control",
                   [](Context& context, Config& config, const Entry& e) {
                     read_object(context, e, kControlSetters, config.control, "in control");
                   }},
    Setter<Config>{"log", [](Context& context, Config& config,
                             const Entry& e) { read_object(context, e, kLogSetters, config.log, "in log"); }},
    // The included children appear in the effective file itself.
    Setter<Config>{"include", [](Context&, Config&, const Entry& e) { e.effective = Value{}; }},
    Setter<Config>{"supervisor", set_root},
};
static_assert(covers(kTopSetters, Scope::top));

bool is_skipped(const std::string& file) {
  const std::string name = file.substr(file.rfind('/') + 1);
  return name.starts_with('.') || name.ends_with('~');
}

bool has_wildcard(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

void read_included_file(Context& context, const std::string& file, Node& root, Value& effective) {
  context.begin_file(file);
  const FileText read = read_file(file);
  if (!read.problem.empty()) {
    context.report({}, "", read.problem);
    return;
  }
  Document document = read_json(read.text);
  context.report(document.findings);
  if (!document.root) return;
  expand_variables(context, *document.root);
  if (document.root->kind == Value::Kind::array) {
    read_children(context, *document.root, "", root, effective);
  } else {
    context.report(document.root->at, "", "expected a list of children, got " + describe(*document.root));
  }
}

// The files that `include` names. Reports a pattern that cannot be followed.
std::vector<std::string> included_files(Context& context, const Member& include) {
  const std::string pattern = resolve_path(include.value.text, context.directory());
  const std::string directory = pattern.substr(0, pattern.rfind('/') + 1);
  const auto blame = [&](const std::string& what, const std::string& why) {
    context.report(include.value.at, "/include", fmt::format("cannot read {}: {}", in_quotes(what), why));
  };
  if (!has_wildcard(directory)) {
    // A pattern that matches nothing is allowed; a missing directory is a typing error.
    if (const std::string problem = why_not_directory(directory, ""); !problem.empty()) {
      blame(directory, problem);
      return {};
    }
    if (const std::string why = geteuid() == 0 ? why_not_trusted(directory) : ""; !why.empty()) {
      blame(directory, why);
      return {};
    }
  }
  Matches matches = context.host().matching_files(pattern);
  if (matches.error != 0) blame(pattern, errno_text(matches.error));
  if (matches.files.empty() && !has_wildcard(pattern)) matches.files.push_back(pattern);
  std::erase_if(matches.files, is_skipped);
  return std::move(matches.files);
}

// `supervisor` is the root's section of the effective file.
void read_includes(Context& context, const Value& top, Config& config, Value& supervisor) {
  const Member* include = top.find("include");
  if (include == nullptr || include->value.kind != Value::Kind::string || include->value.text.empty()) return;
  Value none;
  Value& children = supervisor.members.empty() ? none : supervisor.members.back().value;
  const Member* root = top.find("supervisor");
  const Value nothing = object_value({});
  const Section section{root == nullptr ? nothing : root->value, config.root.pointer, include->value.at};
  const DefaultsInForce defaults(context, section, DefaultsInForce::Report::no);
  for (const std::string& file : included_files(context, *include)) {
    read_included_file(context, file, config.root, children);
  }
  if (root != nullptr) {
    set_default_max_restarts({root->value, config.root.pointer, root->value.at}, config.root, supervisor);
  }
}

// After the includes, because a root without children would end at once.
void check_root(Context& context, const Value& top, const Node& root) {
  const Member* supervisor = top.find("supervisor");
  if (supervisor == nullptr || supervisor->value.kind != Value::Kind::object) return;
  if (!root.children.empty() || !root.disabled.empty()) return;
  const Section section{supervisor->value, "/supervisor", supervisor->value.at};
  const Member* children = supervisor->value.find("children");
  // Children that could not be read have already been reported.
  if (children != nullptr && (children->value.kind != Value::Kind::array || !children->value.items.empty())) return;
  context.report(section.place_of("children"), children != nullptr ? section.pointer_of("children") : section.pointer,
                 "the root supervisor needs at least one child");
}

void check_need(Context& context, const Value& top, const Node& root) {
  const Member* supervisor = top.find("supervisor");
  if (supervisor == nullptr) return;
  const Section section{supervisor->value, "/supervisor", supervisor->value.at};
  check_descriptors(context, section, root);
  check_sense_of_supervisor(context, section, root);
}

void read_top(Context& context, const Value& top, Loaded& out) {
  if (top.kind != Value::Kind::object) {
    context.report(top.at, "", "expected an object, got " + describe(top));
    return;
  }
  Config config;
  config.file = context.file();
  const Section section{top, "", top.at};
  check_keys(context, section, {Scope::top}, "at the top level");
  Value effective = object_value({});
  read_options(context, section, Scope::top, kTopSetters, config, effective);
  Value none;
  Value* supervisor = &none;
  for (Member& member : effective.members) {
    if (member.key == "supervisor") supervisor = &member.value;
  }
  read_includes(context, top, config, *supervisor);
  context.return_to_first_file();
  check_root(context, top, config.root);
  check_need(context, top, config.root);
  check_sense_of_daemon(context, top, config);
  out.config = std::move(config);
  protect_dollars(effective);
  out.effective = write_json(effective);
}

Loaded problem(const std::string& file, std::string message) {
  Loaded out;
  out.problems.push_back({file, 0, 0, "", std::move(message)});
  return out;
}

Loaded read(std::string_view text, const std::string& file, const std::string& directory, const Host& host) {
  if (text.size() > host.largest_text()) return problem(file, too_large());
  Loaded out;
  Context context(host, file, directory);
  Document document = read_json(text);
  context.report(document.findings);
  if (document.root) {
    expand_variables(context, *document.root);
    read_top(context, *document.root, out);
  }
  out.problems = context.take_problems();
  out.warnings = context.take_warnings();
  out.needs_root = context.needs_root();
  if (!out.problems.empty()) {
    out.config.reset();
    out.effective.clear();
  }
  return out;
}

// Control characters in file names and keys could make one message look like two.
std::string one_line(std::string_view text) {
  const std::string escaped = json_string(text);
  return escaped.substr(1, escaped.size() - 2);
}

}  // namespace

std::string Problem::text() const {
  if (line == 0) return fmt::format("{}: {}", one_line(file), message);
  return fmt::format("{}:{}:{}: {}: {}", one_line(file), line, column, pointer.empty() ? "/" : one_line(pointer),
                     message);
}

std::vector<std::string> texts_of(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const Problem& problem : problems) out.push_back(problem.text());
  return out;
}

Loaded parse(std::string_view text, const std::string& file, const std::string& directory, const Host& host) {
  // Only std::bad_alloc can be thrown here.
  try {
    return read(text, file, directory, host);
  } catch (const std::exception& error) {
    return problem(file, error.what());
  }
}

Loaded parse(std::string_view text, const std::string& file, const std::string& directory) {
  return parse(text, file, directory, this_host());
}

Loaded load(const std::string& path) {
  return load(path, this_host());
}

Loaded load(const std::string& path, const Host& host) {
  try {
    const FileText read = read_file(path);
    if (!read.problem.empty()) return problem(path, read.problem);
    return parse(read.text, path, directory_of(path), host);
  } catch (const std::exception& error) {
    return problem(path, error.what());
  }
}

}  // namespace bulkhead::config
