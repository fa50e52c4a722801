#include "master/config/foresight.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "master/config/foresight_privileges.h"
#include "master/config/paths.h"
#include "master/config/reach.h"
#include "master/config/runnable.h"
#include "master/config/trust.h"

namespace bulkhead::config {
namespace {

using Form = ListenAddress::Form;
using Mentioned = Context::Mentioned;

Who daemon_of(const Context& context) {
  const Host& host = context.host();
  const std::uint32_t uid = host.daemon_id();
  const auto account = host.user(uid);
  return {account ? account->name : std::to_string(uid), uid, host.group_id(), {}};
}

Who who_runs(const Context& context, const ChildKeys& keys) {
  if (!keys.identity) return daemon_of(context);
  return {keys.identity->name, keys.identity->uid, keys.identity->gid, keys.identity->groups};
}

// Of the child's environment. Empty: not set, or not known.
std::string variable_of(const Context& context, const ChildKeys& keys, const std::string& name) {
  const auto has = [&](const std::vector<std::string>& names) { return std::ranges::find(names, name) != names.end(); };
  if (has(keys.unset_env)) return "";
  for (const auto* const own : {&keys.env, &keys.file_env}) {
    const auto set = std::ranges::find(*own, name, &std::pair<std::string, std::string>::first);
    if (set != own->end()) return set->second;
  }
  return has(keys.pass_env) ? context.host().variable(name).value_or("") : "";
}

void foresee_program(Context& context, const Mentioned& one, const Runner& runner) {
  const Prospect prospect = prospect_of(one.path, runner);
  const std::string name = in_quotes(one.path);
  if (!prospect.problem.empty()) {
    return context.report(one.at, one.pointer, fmt::format("cannot execute {}: {}", name, prospect.problem));
  }
  if (!prospect.doubt.empty()) context.warn(one.at, one.pointer, fmt::format("{}: {}", name, prospect.doubt));
  if (prospect.missing.empty()) return;
  context.warn(one.at, one.pointer, fmt::format("program {} may not start: {}", name, prospect.missing));
}

// Workers are executed without an environment. A listener with a module has no other root directory.
void foresee_library(Context& context, const Mentioned& one, Runner runner) {
  runner.loader_path.clear();
  const Prospect prospect = prospect_of_library(one.path, runner);
  const std::string name = in_quotes(one.path);
  if (!prospect.problem.empty()) {
    context.report(one.at, one.pointer, fmt::format("cannot load {}: {}", name, prospect.problem));
  } else if (!prospect.missing.empty()) {
    context.warn(one.at, one.pointer, fmt::format("module {} may not be loaded: {}", name, prospect.missing));
  }
}

// The change of directory itself happens before the change of user, and succeeds.
void foresee_directory(Context& context, const Section& section, const Runner& runner) {
  if (section.object.find("chdir") == nullptr) return;
  const Reached reached = reach(runner.directory, runner.root, runner.who, Access::execute);
  if (reached.problem.empty()) return;
  context.warn(section.place_of("chdir"), section.pointer_of("chdir"), reached.problem);
}

// What is at the place of a Unix socket, if it is no socket.
std::string what_is_in_the_way(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || S_ISSOCK(status.st_mode)) return "";
  const char* what = S_ISREG(status.st_mode)   ? "a regular file"
                     : S_ISDIR(status.st_mode) ? "a directory"
                     : S_ISLNK(status.st_mode) ? "a symbolic link"
                                               : "something other than a socket";
  return fmt::format("{} is there and would be left alone", what);
}

std::string why_no_socket_at(const std::string& path, const Who& who) {
  if (std::string why = why_not_creatable(path, who); !why.empty()) return why;
  return what_is_in_the_way(path);
}

const char* why_not_bound(int error, const ListenAddress& address) {
  switch (error) {
    case EACCES: return "this port needs CAP_NET_BIND_SERVICE, which the daemon does not have";
    case EADDRNOTAVAIL: return "no interface has this address (see \"freebind\")";
    case ENODEV: return address.device.empty() ? "no such device" : "there is no network interface of this name";
    case EAFNOSUPPORT: return "this system has no IPv6";
    default: return "it cannot be bound";
  }
}

struct Place {
  Position at;
  std::string pointer;
};

// `listen` is one address or a list; without errors the list of the listener has the same order.
Place place_of(const Section& section, std::size_t index) {
  const Member* const listen = section.object.find("listen");
  if (listen == nullptr || index >= listen->value.items.size()) {
    return {section.place_of("listen"), section.pointer_of("listen")};
  }
  return {listen->value.items[index].at, child_pointer(section.pointer_of("listen"), index)};
}

void foresee_ip(Context& context, const Listener& listener, const ListenAddress& address, const Place& place) {
  const int error = context.host().bind_error(address, listener.sockets.freebind);
  if (error == 0) return;
  const std::string message =
      fmt::format("cannot listen on {}: {}", in_quotes(address.text), why_not_bound(error, address));
  if (error == EAFNOSUPPORT && listener.listen.size() > 1) {
    return context.warn(place.at, place.pointer, message + "; it would be left out");
  }
  context.report(place.at, place.pointer, message);
}

}  // namespace

void foresee_child(Context& context, const Section& section, const ChildKeys& keys) {
  const auto mentioned = context.take_mentioned();
  if (!context.host().foresees(Foreseen::children)) return;
  const Runner runner{who_runs(context, keys),
                      keys.chroot,
                      keys.chdir,
                      variable_of(context, keys, "PATH"),
                      !keys.sandbox.new_privileges,
                      variable_of(context, keys, "LD_LIBRARY_PATH")};
  for (const Mentioned& one : mentioned) {
    if (one.kind == Mentioned::Kind::program) {
      foresee_program(context, one, runner);
    } else {
      foresee_library(context, one, runner);
    }
  }
  foresee_directory(context, section, runner);
  foresee_privileges(context, section, keys);
}

void foresee_addresses(Context& context, const Section& section, const Listener& listener) {
  const Member* const listen = section.object.find("listen");
  if (!context.host().foresees(Foreseen::addresses) || listen == nullptr || context.claims_none()) return;
  const std::size_t written = listen->value.kind == Value::Kind::array ? listen->value.items.size() : 1;
  if (written != listener.listen.size()) return;  // some are wrong and have been reported
  for (std::size_t i = 0; i < written; ++i) {
    const ListenAddress& address = listener.listen[i];
    const Place place = place_of(section, i);
    if (address.is_ip()) foresee_ip(context, listener, address, place);
    if (address.form != Form::unix_path) continue;
    if (const std::string why = why_no_socket_at(address.path, daemon_of(context)); !why.empty()) {
      context.report(place.at, place.pointer, fmt::format("cannot listen on {}: {}", in_quotes(address.text), why));
    }
  }
}

void foresee_log_target(Context& context, const Entry& entry, const std::string& target) {
  if (!context.host().foresees(Foreseen::log) || !entry.given || target == "stderr") return;
  const bool daemon = target == "syslog" || target == "journald";
  const std::string path = target == "syslog" ? kSyslogSocket : daemon ? kJournalSocket : target;
  std::string why;
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode) && !daemon) {
    why = "a symbolic link is not followed";
  } else {
    why = daemon ? reach(path, "", daemon_of(context), Access::write).problem
                 : why_not_appendable(path, daemon_of(context));
  }
  if (why.empty()) return;
  const std::string what = daemon ? fmt::format("{} ({})", in_quotes(target), path) : in_quotes(path);
  context.report(entry.at(), entry.pointer(), fmt::format("cannot open the log {}: {}", what, why));
}

void foresee_pid_file(Context& context, const Entry& entry, const std::string& path) {
  if (!context.host().foresees(Foreseen::pid_file)) return;
  const std::string directory = path.substr(0, path.rfind('/'));
  std::string why = why_not_creatable(path, daemon_of(context));
  struct stat status {};
  if (why.empty() && lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) why = "it is not a regular file";
  if (why.empty()) {
    if (const auto error = why_not_for_pid_file(directory.empty() ? "/" : directory); error && error->code == EPERM) {
      why = error->text();
    }
  }
  if (!why.empty())
    context.report(entry.at(), entry.pointer(), fmt::format("cannot keep the pid in {}: {}", in_quotes(path), why));
}

void foresee_control_socket(Context& context, const Entry& entry, const std::string& path) {
  if (!context.host().foresees(Foreseen::control_socket)) return;
  const Who who = daemon_of(context);
  const std::string directory = path.substr(0, path.rfind('/'));
  struct stat status {};
  // The last directory is made at the start.
  const bool made = !directory.empty() && stat(directory.c_str(), &status) != 0 && errno == ENOENT;
  const std::string why = made ? why_not_creatable(directory, who) : why_no_socket_at(path, who);
  if (why.empty()) return;
  context.report(entry.at(), entry.pointer(),
                 fmt::format("cannot make the control socket {}: {}", in_quotes(path), why));
}

}  // namespace bulkhead::config
