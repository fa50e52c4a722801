// Every option of bulkhead.json, one row each. The reader, the messages, --dump-config, the JSON Schema and the test
// that compares bulkhead.json(5) with this table all read it. A new option needs a row here, a field in config.h, and a
// setter in the file of its scope (without it a static_assert there fails).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/sandbox/capabilities.h"
#include "master/supervision/words.h"
#include "worker/handlers/built_in.h"
#include "worker/ipc/limits.h"
#include "worker/log/log.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::config {

// The object that contains an option. `supervisor` is also the scope of the root, which alone has those of `root` too;
// the options of `child` are allowed in every entry of `children`, those of `child_keys` in listeners and processes.
enum class Scope : std::uint8_t {
  top,
  daemon,
  control,
  log,
  own_log,  // the log of a listener or a process
  child,
  listener,
  handler,  // a handler that executes a program
  module,   // a handler that is a library
  process,
  child_keys,
  user,  // a user of a pool
  rlimits,
  sandbox,
  system_calls,
  paths,
  network,
  root,
  supervisor,
  restart_delay,
  rate,
  source_prefix,
  penalties,
  keepalive,
  rule
};

enum class Type : std::uint8_t {
  string,
  boolean,
  integer,
  number,
  duration,
  size,   // a number of bytes, or a string with a unit
  share,  // a part of the workers: a number, or a percentage of them
  word,   // one of Option::words
  path,
  pattern,
  file_mode,
  id,
  account,         // a user or group, by name or number
  accounts,        // a list of groups
  user,            // an account, or an object of Scope::user
  uids,            // a range of numbers of users
  command,         // argv
  listen,          // one address or a list of them
  networks,        // one network or a list of them
  banner,          // text that is sent unchanged
  rate,            // an object of Scope::rate
  rules,           // a list of objects of Scope::rule
  words,           // a list of Option::words
  names,           // a list of names of environment variables
  calls,           // a list of names of system calls
  paths,           // a list of absolute paths
  directories,     // a relative path or a list of them
  ports,           // a list of numbers of ports
  environment,     // an object of strings
  exit_statuses,   // a list of 0 to 255
  exit_durations,  // an object of durations, by exit status
  json,            // an object that is passed on without being interpreted
  object,          // an object with the options of the scope of the same name
  children
};

// Smallest and largest value, inclusive. Durations are in milliseconds, sizes in bytes. Only used for integer, number,
// duration and size.
struct Limits {
  double min = 0;
  double max = 0;
};

// The value when the key is absent: JSON text; or words, if the default is computed, is "none", or the key is required.
struct Default {
  std::string_view json;
  std::string_view words;
};
inline constexpr Default kRequired{"", "none; the key is required"};
inline constexpr Default kNone{"", "none"};
constexpr Default by_default(std::string_view json) {
  return {json, ""};
}
constexpr Default computed(std::string_view words) {
  return {"", words};
}

struct Option {
  Scope scope;
  std::string_view name;
  Type type;
  Default fallback;
  Limits limits;
  std::string_view words;  // words that are allowed instead of the value, separated by |
  std::string_view help;   // one line
};

// The names of the built-in handlers, separated by |.
[[nodiscard]] constexpr auto built_in_words() {
  constexpr auto kLength = [] {
    std::size_t length = 0;
    for (const handlers::BuiltIn& one : handlers::kBuiltIns) length += one.name.size() + 1;
    return length - 1;
  }();
  std::array<char, kLength> out{};
  std::size_t at = 0;
  for (const handlers::BuiltIn& one : handlers::kBuiltIns) {
    if (at != 0) out[at++] = '|';
    for (const char c : one.name) out[at++] = c;
  }
  return out;
}
inline constexpr auto kBuiltInWords = built_in_words();
inline constexpr std::string_view kBuiltIns{kBuiltInWords.data(), kBuiltInWords.size()};

inline constexpr double kSecond = 1000;
inline constexpr double kYear = 8760 * 3600 * kSecond;
inline constexpr Limits kAnyDuration{0, kYear};
inline constexpr Limits kPositiveDuration{1, kYear};
inline constexpr Limits kAnySize{0, 1ULL << 50};
inline constexpr Limits kKeepaliveTime{kSecond, 32767 * kSecond};  // the limits of the kernel, tcp(7)
inline constexpr Limits kBufferSize{4096, 1 << 30};
inline constexpr Limits kHandshake{1, 3600 * kSecond};

inline constexpr std::string_view kStopSignals = "TERM|HUP|INT|QUIT|ABRT|ALRM|USR1|USR2|WINCH";

// clang-format off
// A word's place in `words` is the value of its enumerator: joined<> of the words beside the enum.
inline constexpr std::array kOptions{
    Option{Scope::top, "$schema", Type::string, kNone, {}, "", "Names the JSON Schema for editors; ignored."},
    Option{Scope::top, "daemon", Type::object, by_default("{}"), {}, "", "The daemon as a whole."},
    Option{Scope::top, "control", Type::object, by_default("{}"), {}, "", "The control socket."},
    Option{Scope::top, "log", Type::object, by_default("{}"), {}, "", "The log."},
    Option{Scope::top, "include", Type::pattern, kNone, {}, "", "Files whose children are added to the root's."},
    Option{Scope::top, "supervisor", Type::object, kRequired, {}, "", "The root of the supervision tree."},

    Option{Scope::daemon, "drain_timeout", Type::duration, by_default("\"30s\""), kAnyDuration, "infinity",
           "How long connections may continue once their listener ends."},
    Option{Scope::daemon, "pid_file", Type::path, kNone, {}, "", "File that holds the daemon's pid, and its lock."},
    Option{Scope::daemon, "lame_duck", Type::duration, by_default("\"0s\""), kAnyDuration, "",
           "How long new connections are still accepted after TERM, so that balancers notice."},
    Option{Scope::daemon, "close_spread", Type::duration, by_default("\"0s\""), kAnyDuration, "",
           "Time over which connections still open at the deadline are ended, one after another."},
    Option{Scope::daemon, "max_connections", Type::integer, by_default("\"unlimited\""), {1, 100'000'000}, "unlimited",
           "Most connections served at the same time, over all listeners."},
    Option{Scope::daemon, "reserved_connections", Type::integer,
           computed("a tenth of max_connections, rounded up, at most 16; 0 if no listener is reserved"),
           {0, 1'000'000}, "", "How many of max_connections only reserved listeners may use."},
    Option{Scope::daemon, "uid_pool", Type::uids, by_default("\"1900000000-1900065535\""), {}, "none",
           "Users for listeners that have no user: each gets one of its own."},

    Option{Scope::control, "socket", Type::path, computed("see CONTROL SOCKET"), {}, "",
           "Path of the control socket."},
    Option{Scope::control, "mode", Type::file_mode, by_default("\"0600\""), {}, "",
           "Permissions of the control socket."},
    Option{Scope::control, "group", Type::account, kNone, {}, "",
           "Group of the control socket; its members may do everything."},

    Option{Scope::log, "target", Type::path, by_default("\"stderr\""), {}, "stderr|syslog|journald",
           "Where the log goes."},
    Option{Scope::log, "format", Type::word, by_default("\"text\""), {}, sys::joined<log::kFormatWords>, "Format of a log line."},
    Option{Scope::log, "level", Type::word, by_default("\"info\""), {}, sys::joined<log::kLevelWords>,
           "Lines below this level are not written."},
    Option{Scope::log, "addresses", Type::word, by_default("\"full\""), {}, sys::joined<log::kAddressesWords>,
           "How much of the clients' addresses log lines show."},
    Option{Scope::log, "connections", Type::words, by_default("[\"end\"]"), {}, "start|end",
           "Whether the start and the end of each connection are logged."},
    Option{Scope::log, "facility", Type::word, by_default("\"daemon\""), {},
           "kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local0|local1|local2|local3|local4|local5|"
           "local6|local7",
           "Facility of the lines that go to syslog or journald."},
    Option{Scope::log, "identity", Type::id, by_default("\"bulkheadd\""), {}, "",
           "Name under which lines go to syslog or journald."},
    Option{Scope::own_log, "target", Type::path, computed("the daemon's"), {}, "stderr|syslog|journald",
           "Where this log goes."},
    Option{Scope::own_log, "format", Type::word, computed("the daemon's"), {}, sys::joined<log::kFormatWords>,
           "Format of its lines."},
    Option{Scope::own_log, "level", Type::word, computed("the daemon's"), {}, sys::joined<log::kLevelWords>,
           "Least important level that is logged."},

    Option{Scope::child, "id", Type::id, kRequired, {}, "", "Name of the child, unique under its supervisor."},
    Option{Scope::child, "type", Type::word, kRequired, {}, sys::joined<supervision::kNodeTypeWords, sys::up_to(supervision::NodeType::process)>, "Type of the child."},
    Option{Scope::child, "restart", Type::word, by_default("\"permanent\""), {}, sys::joined<supervision::kRestartWords>,
           "Whether the child is started again when it ends."},
    Option{Scope::child, "significant", Type::boolean, by_default("false"), {}, "",
           "Whether its end counts for the supervisor's auto_shutdown."},
    Option{Scope::child, "shutdown", Type::duration, computed("\"5s\"; \"infinity\" for a supervisor"), kAnyDuration,
           "infinity|brutal_kill", "How long it may take to end before it is killed."},
    Option{Scope::child, "start_timeout", Type::duration, by_default("\"10s\""), kPositiveDuration, "infinity",
           "How long it may take to become ready."},
    Option{Scope::child, "restart_delay", Type::object, by_default("{}"), {}, "none",
           "How long a crashing child waits before it is started again."},
    Option{Scope::child, "enabled", Type::boolean, by_default("true"), {}, "",
           "Whether it is started; if not, it is only checked."},
    Option{Scope::child, "instances", Type::integer, kNone, {1, 1000}, "",
           "How many children this entry stands for."},

    Option{Scope::listener, "listen", Type::listen, kRequired, {}, "", "Addresses to listen on."},
    Option{Scope::listener, "backlog", Type::integer, by_default("1024"), {1, 1'000'000}, "",
           "How many connections the kernel queues until they are accepted."},
    Option{Scope::listener, "ipv6only", Type::boolean, by_default("false"), {}, "",
           "Whether an IPv6 socket refuses IPv4 clients."},
    Option{Scope::listener, "mode", Type::file_mode, by_default("\"0660\""), {}, "",
           "Permissions of the file of a Unix socket."},
    Option{Scope::listener, "owner", Type::account, computed("the daemon's user"), {}, "",
           "Owner of the file of a Unix socket."},
    Option{Scope::listener, "nodelay", Type::boolean, by_default("true"), {}, "",
           "Whether short segments are sent without delay."},
    Option{Scope::listener, "keepalive", Type::object, by_default("{}"), {}, "off",
           "When a silent client is probed."},
    Option{Scope::listener, "freebind", Type::boolean, by_default("false"), {}, "",
           "Whether an address that the system does not have yet may be bound."},
    Option{Scope::listener, "device", Type::string, kNone, {}, "",
           "Network interface through which clients must connect."},
    Option{Scope::listener, "rcvbuf", Type::size, kNone, kBufferSize, "",
           "Receive buffer of each connection."},
    Option{Scope::listener, "sndbuf", Type::size, kNone, kBufferSize, "",
           "Send buffer of each connection."},
    Option{Scope::listener, "workers", Type::integer, by_default("\"auto\""), {1, ipc::kMaxWorkers}, "auto",
           "Worker processes that accept connections."},
    Option{Scope::listener, "max_unavailable", Type::share, by_default("\"10%\""), {1, ipc::kMaxWorkers}, "",
           "How many workers a reload or an upgrade replaces at the same time."},
    Option{Scope::listener, "max_accepts", Type::integer, by_default("\"unlimited\""), {1, 1'000'000'000}, "unlimited",
           "Connections after which a worker is replaced."},
    Option{Scope::listener, "max_accepts_jitter", Type::integer, computed("a quarter of max_accepts"), {0, 1'000'000'000},
           "", "How far from max_accepts the limit of a worker may be."},
    Option{Scope::listener, "max_age", Type::duration, by_default("\"infinity\""), {kSecond, kYear}, "infinity",
           "Age at which a worker is replaced."},
    Option{Scope::listener, "max_crashes", Type::rate, by_default("\"unlimited\""), {}, "unlimited",
           "How many crashes of its connections in a span of time replace a worker."},
    Option{Scope::listener, "max_restarts", Type::integer,
           computed("\"unlimited\"; 3 if restart_delay is \"none\""), {0, 1'000'000}, "unlimited",
           "Worker restarts allowed within max_seconds."},
    Option{Scope::listener, "max_seconds", Type::number, by_default("5"), {1, 1'000'000'000}, "",
           "Length of the window for max_restarts, in seconds."},
    Option{Scope::listener, "max_connections", Type::integer, by_default("1024"), {1, ipc::kMaxConnections}, "",
           "Most connections served at the same time, over all workers."},
    Option{Scope::listener, "reserved", Type::boolean, by_default("false"), {}, "",
           "Whether its connections may use the places of reserved_connections."},
    Option{Scope::listener, "max_connections_per_source", Type::integer, by_default("\"unlimited\""), {1, 1'000'000},
           "unlimited", "Most connections served at the same time from one source."},
    Option{Scope::listener, "max_rate_per_source", Type::rate, by_default("\"unlimited\""), {}, "unlimited",
           "How many connections may begin from one source: a burst, then at an even rate."},
    Option{Scope::listener, "source_prefix", Type::object, by_default("{}"), {}, "",
           "How many bits of a client's address identify its source."},
    Option{Scope::listener, "penalties", Type::object, by_default("{}"), {}, "",
           "Refuses sources because of how their connections ended."},
    Option{Scope::listener, "max_connection_rate", Type::rate, by_default("\"unlimited\""), {}, "unlimited",
           "How many connections may begin in a span of time, over all workers."},
    Option{Scope::listener, "on_full", Type::word, by_default("\"queue\""), {}, sys::joined<kOnFullWords>,
           "What happens to a connection for which a limit of capacity leaves no room."},
    Option{Scope::listener, "allow", Type::networks, computed("all clients"), {}, "",
           "Networks whose connections are served."},
    Option{Scope::listener, "deny", Type::networks, by_default("[]"), {}, "",
           "Networks whose connections are refused."},
    Option{Scope::listener, "handshake_timeout", Type::duration, by_default("\"5s\""), kHandshake, "",
           "How long a connection may take until it can be served."},
    Option{Scope::listener, "proxy_protocol", Type::word, by_default("\"off\""), {}, sys::joined<kProxyProtocolWords>,
           "Which version of the PROXY header each connection begins with."},
    Option{Scope::listener, "proxy_allow_from", Type::networks, by_default(R"(["127.0.0.0/8", "::1/128"])"), {}, "",
           "Networks whose PROXY headers are trusted."},
    Option{Scope::listener, "proxy_timeout", Type::duration, computed("\"3s\", or handshake_timeout where only that is given"),
           kHandshake, "", "How long the PROXY header may take."},
    Option{Scope::listener, "banner", Type::banner, kNone, {}, "", "Text that is sent first to an admitted client."},
    Option{Scope::listener, "banner_fail", Type::banner, kNone, {}, "", "Text that is sent to a refused client."},
    Option{Scope::listener, "max_lifetime", Type::duration, by_default("\"infinity\""), kPositiveDuration, "infinity",
           "How long a connection may last."},
    Option{Scope::listener, "handler", Type::object, kRequired, {}, kBuiltIns, "What serves a connection."},
    Option{Scope::listener, "idle_timeout", Type::duration,
           computed("\"10m\" for a built-in handler, \"infinity\" for others"), kPositiveDuration, "infinity",
           "How long a connection may be idle."},
    Option{Scope::listener, "first_byte_timeout", Type::duration, by_default("\"infinity\""), kPositiveDuration,
           "infinity", "How soon a client must have sent something."},
    Option{Scope::listener, "on_client_gone", Type::word, by_default("\"leave\""), {}, sys::joined<kOnClientGoneWords>,
           "What happens to a handler whose client has left."},
    Option{Scope::listener, "count_bytes", Type::boolean, by_default("false"), {}, "",
           "Whether the log says how many bytes a connection has carried."},
    Option{Scope::listener, "stop_signal", Type::word, by_default("\"TERM\""), {}, kStopSignals,
           "Signal that asks the handler of a connection to end."},
    Option{Scope::listener, "normal_exit", Type::exit_statuses, by_default("[0]"), {}, "",
           "Exit statuses of a handler's program that count as a normal end."},
    Option{Scope::listener, "rules", Type::rules, by_default("[]"), {}, "",
           "Exceptions for the clients of some networks."},
    Option{Scope::listener, "stderr", Type::word, computed("\"log\"; \"socket\" with style inetd"), {},
           sys::joined<kStandardErrorWords>,
           "Where the standard error of a handler's program goes."},
    Option{Scope::listener, "log", Type::object, computed("the daemon's"), {}, "",
           "A log of its own for its workers and connections."},
    Option{Scope::listener, "log_addresses", Type::word, computed("the daemon's log.addresses"), {},
           sys::joined<log::kAddressesWords>, "How much of its clients' addresses log lines show."},
    Option{Scope::listener, "log_rate_limit", Type::integer, by_default("100"), {1, 1'000'000}, "unlimited",
           "Most lines of a connection's standard error that are logged in a second."},

    Option{Scope::handler, "exec", Type::command, kRequired, {}, "",
           "Program to execute for each connection, with its arguments."},
    Option{Scope::handler, "arg0", Type::string, computed("the path of the program"), {}, "",
           "The first argument that the program gets, its name, in the place of its path."},
    Option{Scope::handler, "style", Type::word, by_default("\"ucspi\""), {}, sys::joined<kExecStyleWords>,
           "Which descriptors of the program are the connection."},
    Option{Scope::handler, "drain_fd", Type::boolean, by_default("false"), {}, "",
           "Whether the program gets a descriptor that reports a drain."},

    Option{Scope::module, "module", Type::path, kRequired, {}, "", "Library that serves each connection."},
    Option{Scope::module, "options", Type::json, by_default("{}"), {}, "",
           "Options passed to the library when it is initialised."},

    Option{Scope::process, "argv", Type::command, kRequired, {}, "", "Program to run, with its arguments."},
    Option{Scope::process, "arg0", Type::string, computed("the path of the program"), {}, "",
           "The first argument that the program gets, its name, in the place of its path."},
    Option{Scope::process, "start", Type::word, by_default("\"auto\""), {}, sys::joined<kStartByWords>,
           "Whether its supervisor starts it, or only an operator."},
    Option{Scope::process, "start_delay", Type::duration, by_default("\"0s\""), kAnyDuration, "",
           "How long its supervisor waits before it starts it."},
    Option{Scope::process, "oneshot", Type::boolean, by_default("false"), {}, "",
           "Whether it is a job that ends: it is ready when it has exited normally."},
    Option{Scope::process, "pre_start", Type::command, kNone, {}, "",
           "Command that must succeed before each start."},
    Option{Scope::process, "post_stop", Type::command, kNone, {}, "",
           "Command that is executed after each end."},
    Option{Scope::process, "ready", Type::word, by_default("\"fork\""), {}, sys::joined<kReadyWords>,
           "What shows that the process is ready."},
    Option{Scope::process, "watchdog", Type::duration, kNone, kPositiveDuration, "",
           "The longest silence before the process is killed; needs ready sd_notify."},
    Option{Scope::process, "normal_exit", Type::exit_statuses, by_default("[0]"), {}, "",
           "Exit statuses that count as a normal end."},
    Option{Scope::process, "permanent_failure_exit", Type::exit_statuses, by_default("[]"), {}, "",
           "Exit statuses after which it is never started again."},
    Option{Scope::process, "stop_signal", Type::word, by_default("\"TERM\""), {}, kStopSignals,
           "Signal that asks the process to end."},
    Option{Scope::process, "reload_signal", Type::word, kNone, {}, "HUP|INT|QUIT|ALRM|USR1|USR2|WINCH",
           "Signal that asks the process to read its files again."},
    Option{Scope::process, "stdout", Type::path, by_default("\"log\""), {}, sys::joined<kOutputWords>,
           "Where its standard output goes."},
    Option{Scope::process, "stderr", Type::path, by_default("\"log\""), {}, sys::joined<kOutputWords>,
           "Where its standard error goes."},
    Option{Scope::process, "log", Type::object, computed("the daemon's"), {}, "",
           "A log of its own for its output."},
    Option{Scope::process, "log_rate_limit", Type::integer, by_default("\"unlimited\""), {1, 1'000'000}, "unlimited",
           "Most lines of its output that are logged in a second."},

    Option{Scope::child_keys, "user", Type::user, computed("see USERS"), {}, "", "User to run as."},
    Option{Scope::user, "pool", Type::uids, kRequired, {}, "", "Users of which a listener gets one of its own."},
    Option{Scope::child_keys, "group", Type::account, computed("the primary group of user"), {}, "",
           "Group to run as."},
    Option{Scope::child_keys, "groups", Type::accounts, computed("those of user"), {}, "", "Supplementary groups."},
    Option{Scope::child_keys, "umask", Type::file_mode, by_default("\"022\""), {}, "",
           "Permissions that new files do not get."},
    Option{Scope::child_keys, "chdir", Type::path, by_default("\"/\""), {}, "", "Its working directory."},
    Option{Scope::child_keys, "chroot", Type::path, kNone, {}, "", "Its root directory."},
    Option{Scope::child_keys, "nice", Type::integer, computed("the daemon's"), {-20, 19}, "", "Its scheduling priority."},
    Option{Scope::child_keys, "ioprio", Type::word, computed("the daemon's"), {},
           "realtime:0|realtime:1|realtime:2|realtime:3|realtime:4|realtime:5|realtime:6|realtime:7|"
           "best_effort:0|best_effort:1|best_effort:2|best_effort:3|best_effort:4|best_effort:5|best_effort:6|"
           "best_effort:7|idle",
           "Its disk I/O priority."},
    Option{Scope::child_keys, "oom_score_adj", Type::integer, computed("the daemon's, at least 500; of a process, and with the sandbox \"none\", at least 0"), {-1000, 1000}, "",
           "How readily the kernel kills it when memory runs out."},
    Option{Scope::child_keys, "rlimits", Type::object, by_default("{}"), {}, "", "Resource limits."},
    Option{Scope::child_keys, "env", Type::environment, by_default("{}"), {}, "", "Environment variables to set."},
    Option{Scope::child_keys, "env_file", Type::path, kNone, {}, "",
           "File with environment variables to set, NAME=VALUE in each line."},
    Option{Scope::child_keys, "pass_env", Type::names, by_default(R"(["PATH", "TZ", "LANG"])"), {}, "",
           "Environment variables to pass on from the daemon."},
    Option{Scope::child_keys, "unset_env", Type::names, by_default("[]"), {}, "", "Environment variables to leave out."},
    Option{Scope::child_keys, "state_directory", Type::directories, kNone, {}, "",
           "Directories below /var/lib that are made for it and stay."},
    Option{Scope::child_keys, "runtime_directory", Type::directories, kNone, {}, "",
           "Directories below /run that are made for it and removed after it."},
    Option{Scope::child_keys, "logs_directory", Type::directories, kNone, {}, "",
           "Directories below /var/log that are made for it and stay."},
    Option{Scope::child_keys, "credentials", Type::environment, by_default("{}"), {}, "",
           "Secret files whose contents it alone gets, by name."},
    Option{Scope::child_keys, "kill_mode", Type::word, by_default("\"group\""), {}, sys::joined<kKillModeWords>,
           "Which processes are signalled."},
    Option{Scope::child_keys, "sandbox", Type::object, by_default("\"basic\""), {}, sys::joined<sandbox::kPresetWords>, "How it is confined."},

    Option{Scope::sandbox, "preset", Type::word, by_default("\"basic\""), {}, sys::joined<sandbox::kPresetWords>,
           "What the other keys start from."},
    Option{Scope::sandbox, "new_privileges", Type::boolean, computed("false; true with the preset \"none\""), {}, "",
           "Whether programs may gain privileges by being executed."},
    Option{Scope::sandbox, "keep_capabilities", Type::words, by_default("[]"), {}, sandbox::kCapabilityNames,
           "Capabilities that a user other than root keeps."},
    Option{Scope::sandbox, "scope", Type::word, computed("\"connection\"; \"off\" with the preset \"none\", and where the kernel has no scopes"), {},
           sys::joined<sandbox::kScopeOfWords>, "Around what the wall for signals and abstract sockets is built."},
    Option{Scope::sandbox, "system_calls", Type::object, computed("\"common\"; \"any\" with the preset \"none\", \"server\" with \"strict\""), {},
           sys::joined<sandbox::kCallListWords>, "Which system calls are allowed."},
    Option{Scope::sandbox, "paths", Type::object, kNone, {}, "", "Which files can be reached."},
    Option{Scope::sandbox, "network", Type::object, computed("\"host\"; \"none\" with the preset \"strict\""), {}, "host|none",
           "Which connections can be made and accepted besides its own."},
    Option{Scope::sandbox, "private", Type::words, computed("none; \"tmp\", \"pids\" and \"ipc\" with the preset \"strict\""), {}, sys::joined<sandbox::kSpaceWords>,
           "What it has for itself."},
    Option{Scope::sandbox, "write_execute", Type::boolean, by_default("true"), {}, "",
           "Whether memory can be written and then executed."},

    Option{Scope::system_calls, "allow", Type::calls, by_default("[]"), {}, "",
           "Calls that are allowed although the list forbids them."},
    Option{Scope::system_calls, "deny", Type::calls, by_default("[]"), {}, "",
           "Calls that are forbidden although the list allows them."},
    Option{Scope::system_calls, "then", Type::word, by_default("\"EPERM\""), {}, sys::joined<sandbox::kThenWords>,
           "What happens at a forbidden call."},

    Option{Scope::paths, "read", Type::paths, by_default("[]"), {}, "", "Files and directories that can be read."},
    Option{Scope::paths, "write", Type::paths, by_default("[]"), {}, "",
           "Files and directories that can be read and changed."},
    Option{Scope::paths, "execute", Type::paths, by_default("[]"), {}, "",
           "Files and directories that can be read and executed."},
    Option{Scope::paths, "else", Type::word, by_default("\"none\""), {}, "none|read",
           "What all other files are good for."},

    Option{Scope::rlimits, "nofile", Type::integer, computed("the daemon's"), {3, 1'000'000'000}, "",
           "Open descriptors."},
    Option{Scope::rlimits, "as", Type::size, computed("the daemon's"), kAnySize, "unlimited", "Address space."},
    Option{Scope::rlimits, "cpu", Type::duration, computed("the daemon's"), {kSecond, kYear}, "unlimited",
           "Processor time."},
    Option{Scope::rlimits, "data", Type::size, computed("the daemon's"), kAnySize, "unlimited", "Private memory."},
    Option{Scope::rlimits, "stack", Type::size, computed("the daemon's"), kAnySize, "unlimited",
           "Stack of the main thread."},
    Option{Scope::rlimits, "core", Type::size, by_default("0"), kAnySize, "unlimited", "Size of a core dump."},
    Option{Scope::rlimits, "fsize", Type::size, computed("the daemon's"), kAnySize, "unlimited",
           "Size of a file that it writes."},
    Option{Scope::rlimits, "nproc", Type::integer, computed("the daemon's"), {1, 10'000'000}, "unlimited",
           "Processes of its user."},

    Option{Scope::network, "connect", Type::ports, by_default("[]"), {}, "", "Ports of TCP to which it can connect."},
    Option{Scope::network, "bind", Type::ports, by_default("[]"), {}, "", "Ports of TCP on which it can listen."},

    Option{Scope::root, "on_give_up", Type::word, by_default("\"leave\""), {}, sys::joined<kOnGiveUpWords>,
           "What happens to the connections when the root gives up."},

    Option{Scope::supervisor, "strategy", Type::word, by_default("\"one_for_one\""), {},
           sys::joined<supervision::kStrategyWords>,
           "Which children are restarted when one of them ends."},
    Option{Scope::supervisor, "max_restarts", Type::integer,
           computed("\"unlimited\"; 3 if a child's restart_delay is \"none\""), {0, 1'000'000}, "unlimited",
           "Restarts allowed within max_seconds."},
    Option{Scope::supervisor, "max_seconds", Type::number, by_default("5"), {1, 1'000'000'000}, "",
           "Length of the window for max_restarts, in seconds."},
    Option{Scope::supervisor, "auto_shutdown", Type::word, by_default("\"never\""), {},
           sys::joined<supervision::kAutoShutdownWords>,
           "Whether the end of significant children ends the supervisor."},
    Option{Scope::supervisor, "defaults", Type::json, by_default("{}"), {}, "",
           "Keys for all children below it that do not have them, by type."},
    Option{Scope::supervisor, "children", Type::children, by_default("[]"), {}, "", "Its children, in start order."},

    Option{Scope::restart_delay, "min", Type::duration, by_default("\"1s\""), kAnyDuration, "",
           "The first delay; the very first restart is immediate."},
    Option{Scope::restart_delay, "max", Type::duration, by_default("\"30s\""), kAnyDuration, "", "The longest delay."},
    Option{Scope::restart_delay, "factor", Type::number, by_default("2"), {1, 1000}, "",
           "Factor by which the delay grows each time."},
    Option{Scope::restart_delay, "jitter", Type::number, by_default("0.1"), {0, 1}, "",
           "Random part of a delay, as a fraction of it."},
    Option{Scope::restart_delay, "reset_after", Type::duration, by_default("\"60s\""), kAnyDuration, "",
           "After a run of this length the delays start over."},

    Option{Scope::source_prefix, "v4", Type::integer, by_default("32"), {1, 32}, "", "Bits of an IPv4 address."},
    Option{Scope::source_prefix, "v6", Type::integer, by_default("64"), {1, 128}, "", "Bits of an IPv6 address."},

    Option{Scope::penalties, "mode", Type::word, by_default("\"off\""), {}, sys::joined<kPenaltyModeWords>,
           "Whether penalties are recorded, and whether they are enforced."},
    Option{Scope::penalties, "crash", Type::duration, by_default("\"90s\""), kAnyDuration, "",
           "Penalty for a connection whose process was killed by a signal."},
    Option{Scope::penalties, "timeout", Type::duration, by_default("\"10s\""), kAnyDuration, "",
           "Penalty for a connection that a time limit ended."},
    Option{Scope::penalties, "no_input", Type::duration, by_default("\"1s\""), kAnyDuration, "",
           "Penalty for a client that left without sending a byte."},
    Option{Scope::penalties, "exit", Type::exit_durations, by_default("{}"), {}, "",
           "Penalties by exit status of the connection's process."},
    Option{Scope::penalties, "min", Type::duration, by_default("\"15s\""), kAnyDuration, "",
           "Penalties are enforced once a source's penalty is longer than this."},
    Option{Scope::penalties, "max", Type::duration, by_default("\"10m\""), kAnyDuration, "",
           "The longest penalty of a source."},
    Option{Scope::penalties, "max_sources4", Type::integer, by_default("65536"), {1, 65536}, "",
           "Most IPv4 sources and local users that are penalised at a time."},
    Option{Scope::penalties, "max_sources6", Type::integer, by_default("65536"), {1, 65536}, "",
           "Most IPv6 sources that are penalised at a time."},
    Option{Scope::penalties, "overflow", Type::word, by_default("\"permissive\""), {}, sys::joined<kPenaltyOverflowWords>,
           "What happens when the maximum number of sources is penalised."},
    Option{Scope::penalties, "exempt", Type::networks, by_default("[]"), {}, "",
           "Networks that are never penalised."},

    Option{Scope::rule, "from", Type::networks, kRequired, {}, "",
           "Networks of the clients to which the rule applies."},
    Option{Scope::rule, "action", Type::word, by_default("\"allow\""), {}, "allow|deny",
           "Whether these clients are served."},
    Option{Scope::rule, "max_connections", Type::integer, computed("the listener's max_connections_per_source"),
           {1, 1'000'000}, "unlimited", "Most connections that each of their sources may have at the same time."},
    Option{Scope::rule, "max_rate_per_source", Type::rate, computed("the listener's max_rate_per_source"), {},
           "unlimited", "How many connections may begin from each of their sources."},
    Option{Scope::rule, "max_connection_rate", Type::word, computed("the listener's max_connection_rate"), {},
           "unlimited", "Whether the listener's max_connection_rate holds for them."},
    Option{Scope::rule, "max_lifetime", Type::duration, computed("the listener's max_lifetime"), kPositiveDuration,
           "infinity", "How long their connections may last."},
    Option{Scope::rule, "idle_timeout", Type::duration, computed("the listener's idle_timeout"), kPositiveDuration,
           "infinity", "How long their connections may be idle."},
    Option{Scope::rule, "first_byte_timeout", Type::duration, computed("the listener's first_byte_timeout"),
           kPositiveDuration, "infinity", "How soon they must have sent something."},
    Option{Scope::rule, "env", Type::environment, by_default("{}"), {}, "",
           "Further environment variables for a program."},
    Option{Scope::rule, "handler", Type::object, computed("the listener's handler"), {}, kBuiltIns,
           "What serves the connections of these clients."},

    Option{Scope::rate, "count", Type::integer, kRequired, {1, ipc::kMaxRate}, "", "How many connections may begin."},
    Option{Scope::rate, "per", Type::duration, kRequired, kPositiveDuration, "", "Length of the span of time."},

    Option{Scope::keepalive, "idle", Type::duration, by_default("\"60s\""), kKeepaliveTime, "",
           "Silence before the first probe."},
    Option{Scope::keepalive, "interval", Type::duration, by_default("\"10s\""), kKeepaliveTime, "",
           "Time between two probes."},
    Option{Scope::keepalive, "probes", Type::integer, by_default("6"), {1, 127}, "",
           "Unanswered probes after which the connection is closed."},
};
// clang-format on

// The rows of one scope, in order.
[[nodiscard]] std::vector<const Option*> options_of(Scope scope);

// The scope of an option of type object or rate; only call it for those.
[[nodiscard]] Scope scope_of(const Option& option);

[[nodiscard]] std::vector<std::string_view> words_of(const Option& option);

// The texts of bulkhead.json(5): `duration`; `"5s"`; `"1ms" to "8760h" or "infinity"`.
[[nodiscard]] std::string_view type_text(Type type);
[[nodiscard]] std::string_view scope_text(Scope scope);
[[nodiscard]] std::string default_text(const Option& option);
[[nodiscard]] std::string range_text(const Option& option);

// For messages: `a duration from "1ms" to "8760h" or "infinity"`.
[[nodiscard]] std::string expectation_text(const Option& option);

// `"8760h"`, from milliseconds.
[[nodiscard]] std::string duration_text(double milliseconds);
// `5s`, without quotes.
[[nodiscard]] std::string span_text(Duration span);

// `"1G"`, from bytes.
[[nodiscard]] std::string size_text(double bytes);

}  // namespace bulkhead::config
