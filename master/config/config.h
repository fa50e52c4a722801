// The configuration as typed values: what bulkhead.json says once it has been read, checked and filled with defaults.
// Units: durations are nanoseconds on the steady clock; sizes are bytes. Everything that had to be resolved (users,
// paths) is resolved here, so that nothing after the load asks a name service or the file system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "master/config/network.h"
#include "master/config/share.h"
#include "master/supervision/child_spec.h"

namespace bulkhead::config {

using supervision::Duration;

// nullopt: "infinity".
using Timeout = std::optional<Duration>;

// A century: longer than anything waits, and still safe to add to any point of the steady clock.
inline constexpr Duration kForever = std::chrono::hours(24 * 36525);

enum class LogFormat : std::uint8_t { text, json };
enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct Log {
  std::string target = "stderr";  // "stderr", "syslog", "journald" or an absolute path
  bool target_explicit = false;   // a detached daemon has no stderr: its default is syslog, and to ask for it an error
  LogFormat format = LogFormat::text;
  LogLevel level = LogLevel::info;
  bool connection_start = false;
  bool connection_end = true;
  std::uint32_t facility = 3;  // syslog and journald; RFC 5424, table 1
  std::string identity = "bulkheadd";
};

struct Control {
  std::string socket;  // absolute path; default: see bulkhead.json(5)
  std::uint32_t mode = 0600;
  std::optional<std::uint32_t> group;  // gid
};

// Where a listener listens, already parsed. `text` is the entry as written and names it in logs and errors.
struct ListenAddress {
  enum class Form : std::uint8_t { ipv4, ipv6, unix_path, unix_abstract, systemd, descriptor };
  std::string text;
  Form form = Form::ipv4;
  std::string host;        // numeric, canonical ("127.0.0.1", "::1"); ipv4 and ipv6
  std::uint16_t port = 0;  // 0: chosen by the kernel
  std::string path;        // unix_path: absolute; unix_abstract: with its "@"
  std::string name;        // systemd: the socket's name in LISTEN_FDNAMES
  int descriptor = -1;     // descriptor: its number
  // Of the listener, because they too decide what can be bound side by side.
  bool ipv6only = false;
  std::string device;

  [[nodiscard]] bool is_ip() const { return form == Form::ipv4 || form == Form::ipv6; }
  // Bound by whoever started the daemon.
  [[nodiscard]] bool is_inherited() const { return form == Form::systemd || form == Form::descriptor; }
};

// A worker's plan has room for so many; what one "systemd:NAME" stands for counts too.
inline constexpr std::size_t kMaxSocketsOfListener = 64;

struct Keepalive {  // tcp(7); whole seconds
  std::chrono::seconds idle{60};
  std::chrono::seconds interval{10};
  std::uint32_t probes = 6;
};

// What is set on listening sockets, once; connections inherit it.
struct SocketOptions {
  std::uint32_t backlog = 1024;
  std::uint32_t mode = 0660;           // of the file of a Unix socket, like owner and group
  std::optional<std::uint32_t> owner;  // uid; absent: the daemon's
  std::optional<std::uint32_t> group;  // gid; absent: the daemon's
  bool backlog_explicit = false;       // what becomes of a default is nobody's surprise
  bool nodelay = true;
  std::optional<Keepalive> keepalive = Keepalive{};  // absent: off
  bool freebind = false;
  std::optional<std::uint32_t> rcvbuf;  // bytes; absent: the system's
  std::optional<std::uint32_t> sndbuf;
};

enum class BuiltIn : std::uint8_t {};  // its place in worker/handlers/built_in.h's table
enum class ExecStyle : std::uint8_t { ucspi, inetd, listen_fds };
struct ExecHandler {
  std::vector<std::string> argv;  // argv[0] absolute
  ExecStyle style = ExecStyle::ucspi;
  bool drain_fd = false;  // it is given the drain notice
};
struct ModuleHandler {
  std::string path;     // of the library, absolute
  std::string options;  // JSON text, an object
  std::string stamp;    // tells the file from another in its place, as it was when the configuration was read
};
using Handler = std::variant<BuiltIn, ExecHandler, ModuleHandler>;

// What titles, lists and logs call it: "echo", or the base name of the program or library.
[[nodiscard]] std::string name_of(const Handler& handler);

struct Listener;
// Whether one of its handlers is a module, so that its workers are of the program that can load it.
[[nodiscard]] bool has_modules(const Listener& listener);
// Whether one of its handlers is given the drain notice: a module, or a program that wants it.
[[nodiscard]] bool has_drain_notice(const Listener& listener);

// Who a process runs as. Absent: it stays what the daemon is.
struct Identity {
  std::string name;  // as written or looked up, for messages
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary
};

// What a listener does with whom it has no room for.
enum class OnFull : std::uint8_t { queue, close, message, reset };

// "unlimited" is a count of 0.
struct Rate {
  std::uint32_t count = 0;
  Duration per{};
};

// How many bits of a client's address make its source.
struct SourcePrefix {
  std::uint32_t v4 = 32;
  std::uint32_t v6 = 64;
};

enum class PenaltyMode : std::uint8_t { off, log, enforce };
enum class PenaltyOverflow : std::uint8_t { permissive, deny_all };
struct Penalties {
  PenaltyMode mode = PenaltyMode::off;
  Duration crash = std::chrono::seconds(90);
  Duration timeout = std::chrono::seconds(10);
  Duration no_input = std::chrono::seconds(1);
  std::vector<std::pair<std::uint8_t, Duration>> exit;
  Duration min = std::chrono::seconds(15);
  Duration max = std::chrono::minutes(10);
  std::uint32_t max_sources4 = 65'536;
  std::uint32_t max_sources6 = 65'536;
  PenaltyOverflow overflow = PenaltyOverflow::permissive;
  std::vector<Network> exempt;
};

// RLIM_INFINITY.
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

struct Rlimit {
  int resource;         // getrlimit(2)
  std::uint64_t value;  // soft and hard
};

enum class StandardError : std::uint8_t { log, null, socket, inherit };
enum class KillMode : std::uint8_t { group, process };
enum class Sandbox : std::uint8_t { basic, none };

// What holds for the processes that a listener or a process child starts.
struct ChildKeys {
  std::optional<Identity> identity;
  std::uint32_t umask = 022;
  std::string chdir = "/";  // absolute; inside `chroot`
  std::string chroot;       // absolute; empty: none
  std::optional<int> nice;
  std::optional<int> ioprio;  // as ioprio_set(2) takes it
  std::optional<int> oom_score_adj;
  std::vector<Rlimit> rlimits;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> pass_env;
  std::vector<std::string> unset_env;
  std::optional<StandardError> standard_error;  // absent: as the handler's style has it; a process's is the log
  std::optional<std::uint32_t> log_rate_limit;  // lines a second; absent: unlimited
  KillMode kill_mode = KillMode::group;
  Sandbox sandbox = Sandbox::basic;
};

// PROXY headers: `off` is 0, the others are the versions that are read, one bit each.
enum class ProxyProtocol : std::uint8_t { off, v1, v2, any };
struct Proxy {
  ProxyProtocol protocol = ProxyProtocol::off;
  std::vector<Network> allow_from;
  Duration timeout = std::chrono::seconds(3);
};

// What is different for the clients of some networks.
struct Rule {
  std::vector<Network> from;
  bool deny = false;
  std::uint32_t max_connections = 0;  // of each source; 0: as for everybody else
  std::vector<std::pair<std::string, std::string>> env;
  std::uint32_t handler = 0;  // its place in Listener::handlers
};

struct Listener {
  std::vector<ListenAddress> listen;
  SocketOptions sockets;
  std::uint32_t workers = 1;        // "auto" resolved
  Share max_unavailable{10, true};  // workers that are replaced at a time
  std::uint32_t max_connections = 1024;
  // Which defaults are lower than they would be, because the system does not allow more: sentences for people.
  std::vector<std::string> remarks;
  std::optional<std::vector<Network>> allow;  // absent: whoever is not denied; empty: nobody
  std::vector<Network> deny;
  std::optional<std::uint32_t> max_connections_per_source;  // absent: "unlimited"
  Rate max_rate_per_source;
  SourcePrefix source_prefix;
  Penalties penalties;
  Duration handshake_timeout = std::chrono::seconds(5);
  Proxy proxy;
  Rate max_connection_rate;
  OnFull on_full = OnFull::queue;
  std::string banner;
  std::string banner_fail;
  Timeout max_lifetime;
  // `shutdown`: between TERM and KILL for its connections. "brutal_kill" is zero, "infinity" is kForever.
  Duration connection_shutdown = std::chrono::seconds(5);
  // The first is the listener's own; the others are those of its rules.
  std::vector<Handler> handlers{1};
  Timeout idle_timeout = std::chrono::minutes(10);  // of the built-in ones
  std::vector<std::uint8_t> normal_exit{0};         // of the others
  std::vector<Rule> rules;
  ChildKeys child;
};

enum class Ready : std::uint8_t { fork, exec, notify_fd, sd_notify };
struct Process {
  std::vector<std::string> argv;
  Ready ready = Ready::fork;
  Timeout watchdog;  // absent: off
  std::vector<std::uint8_t> normal_exit{0};
  std::vector<std::uint8_t> permanent_failure_exit;
  int stop_signal = 15;
  int reload_signal = 0;  // 0: none
  ChildKeys child;
};

// One entry of the tree. `spec` carries id, type, restart, shutdown, significant, restart_delay and, for supervisors
// and listeners, the flags; its `children` stay empty here (Node::children holds them), the daemon joins the two.
struct Node {
  supervision::ChildSpec spec;
  Timeout start_timeout = std::chrono::seconds(10);
  std::optional<Listener> listener;
  std::optional<Process> process;
  std::vector<Node> children;  // supervisor
  std::string file;            // where the entry stands, for messages: the configuration or a file it includes,
  std::string pointer;         // and the JSON pointer there
};

struct Config {
  std::string file;  // as given
  Timeout drain_timeout = std::chrono::seconds(30);
  Duration lame_duck{};
  Duration close_spread{};
  std::string pid_file;  // absolute; empty: none
  Log log;
  Control control;
  Node root;
};

// One finding. Line and column count from 1; column counts bytes. Text form: FILE:LINE:COLUMN: /pointer: message
struct Problem {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string pointer;
  std::string message;
  [[nodiscard]] std::string text() const;
};

struct Loaded {
  std::optional<Config> config;   // set exactly when `problems` is empty
  std::vector<Problem> problems;  // all of the file, in order of position
  std::string effective;          // --dump-config: the file with defaults filled in; set with `config`
};

// Reads the file at `path` (regular file, at most 1 MiB). May block on the file system and on the user database;
// nothing else in the master may. Never throws. A file that cannot be read is one Problem naming its errno.
[[nodiscard]] Loaded load(const std::string& path);

// The same for text that is already in memory (tests, `check -`); relative paths in it are relative to `directory`.
[[nodiscard]] Loaded parse(std::string_view text, const std::string& file, const std::string& directory);

}  // namespace bulkhead::config
