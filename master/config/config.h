// The configuration as typed values: bulkhead.json after it has been read, checked and filled with defaults. Units:
// durations are nanoseconds on the steady clock; sizes are bytes. Users and paths are resolved while loading, so that
// nothing after the load asks a name service or the file system.
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
#include "master/sandbox/policy.h"
#include "master/supervision/child_spec.h"
#include "worker/log/log.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::config {

using supervision::Duration;

// nullopt: "infinity".
using Timeout = std::optional<Duration>;

// A century: longer than anything waits, and still safe to add to any point of the steady clock.
inline constexpr Duration kForever = std::chrono::hours(24 * 36525);

using LogFormat = log::Format;
using LogLevel = log::Level;
using LogAddresses = log::Addresses;

struct Log {
  std::string target = "stderr";  // "stderr", "syslog", "journald" or an absolute path
  bool target_explicit =
      false;  // a detached daemon has no stderr: it logs to syslog by default, and refuses an explicit stderr
  LogFormat format = LogFormat::text;
  LogLevel level = LogLevel::info;
  LogAddresses addresses = LogAddresses::full;
  bool connection_start = false;
  bool connection_end = true;
  std::uint32_t facility = 3;  // syslog and journald; RFC 5424, table 1
  std::string identity = "bulkheadd";
};

// What the log of a listener or a process has otherwise than the daemon's.
struct OwnLog {
  std::optional<std::string> target;
  std::optional<LogFormat> format;
  std::optional<LogLevel> level;
  std::optional<LogAddresses> addresses;

  [[nodiscard]] bool operator==(const OwnLog& other) const = default;
};
[[nodiscard]] inline bool has_own_log(const OwnLog& own) {
  return own != OwnLog{};
}
// The log of that listener or process.
[[nodiscard]] inline Log merged(Log daemon, const OwnLog& own) {
  if (own.target) daemon.target = *own.target;
  daemon.format = own.format.value_or(daemon.format);
  daemon.level = own.level.value_or(daemon.level);
  daemon.addresses = own.addresses.value_or(daemon.addresses);
  return daemon;
}

struct Control {
  std::string socket;  // absolute path; default: see bulkhead.json(5)
  std::uint32_t mode = 0600;
  std::optional<std::uint32_t> group;  // gid
};

// An address of `listen`, already parsed. `text` is the entry as written and names it in logs and errors.
struct ListenAddress {
  enum class Form : std::uint8_t { ipv4, ipv6, unix_path, unix_abstract, systemd, descriptor };
  std::string text;
  Form form = Form::ipv4;
  std::string host;        // numeric, canonical ("127.0.0.1", "::1"); ipv4 and ipv6
  std::uint16_t port = 0;  // 0: chosen by the kernel
  std::string path;        // unix_path: absolute; unix_abstract: with its "@"
  std::string name;        // systemd: the socket's name in LISTEN_FDNAMES
  int descriptor = -1;     // descriptor: its number
  // Keys of the listener, kept here because they too decide which addresses can be bound together.
  bool ipv6only = false;
  std::string device;

  [[nodiscard]] bool is_ip() const { return form == Form::ipv4 || form == Form::ipv6; }
  // Whether the service manager or another parent of the daemon has bound it.
  [[nodiscard]] bool is_inherited() const { return form == Form::systemd || form == Form::descriptor; }
};

// The limit of a worker's plan. Every socket that one "systemd:NAME" stands for counts.
inline constexpr std::size_t kMaxSocketsOfListener = 64;

struct Keepalive {  // tcp(7); whole seconds
  std::chrono::seconds idle{60};
  std::chrono::seconds interval{10};
  std::uint32_t probes = 6;
};

// The options of listening sockets, set once; connections inherit them.
struct SocketOptions {
  std::uint32_t backlog = 1024;
  std::uint32_t mode = 0660;           // of the file of a Unix socket, like owner and group
  std::optional<std::uint32_t> owner;  // uid; absent: the daemon's
  std::optional<std::uint32_t> group;  // gid; absent: the daemon's
  bool backlog_explicit = false;       // only an explicit backlog is worth a warning when the kernel lowers it
  bool nodelay = true;
  std::optional<Keepalive> keepalive = Keepalive{};  // absent: keepalive is off
  bool freebind = false;
  std::optional<std::uint32_t> rcvbuf;  // bytes; absent: the system's default
  std::optional<std::uint32_t> sndbuf;
};

enum class BuiltIn : std::uint8_t {};  // its place in worker/handlers/built_in.h's table
enum class ExecStyle : std::uint8_t { ucspi, inetd, listen_fds };
inline constexpr sys::EnumWords<ExecStyle, sys::up_to(ExecStyle::listen_fds)> kExecStyleWords{"ucspi", "inetd",
                                                                                              "listen_fds"};
struct ExecHandler {
  std::vector<std::string> argv;  // argv[0] absolute
  std::string arg0;               // what the program gets instead of it; empty: the same
  ExecStyle style = ExecStyle::ucspi;
  bool drain_fd = false;  // the program is given the drain notice
};
struct ModuleHandler {
  std::string path;     // path of the library, absolute
  std::string options;  // JSON text of an object
  std::string stamp;    // identifies the file as it was when the configuration was read: see stamp_of_file()
};
using Handler = std::variant<BuiltIn, ExecHandler, ModuleHandler>;

// The name in process titles, lists and logs: "echo", or the base name of the program or library.
[[nodiscard]] std::string name_of(const Handler& handler);

struct Listener;
// Whether one of its handlers is a module; its workers then need the program that can load modules.
[[nodiscard]] bool has_modules(const Listener& listener);
// Whether one of its handlers is given the drain notice: a module, or a program with drain_fd.
[[nodiscard]] bool has_drain_notice(const Listener& listener);

// The identity that a process runs as. Absent: the identity of the daemon.
struct Identity {
  std::string name;  // as written or looked up, for messages
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary groups
};

// The treatment of a client for which a listener has no room.
enum class OnClientGone : std::uint8_t { leave, term, term_on_eof };
inline constexpr sys::EnumWords<OnClientGone, sys::up_to(OnClientGone::term_on_eof)> kOnClientGoneWords{"leave", "term",
                                                                                                        "term_on_eof"};
enum class OnFull : std::uint8_t { queue, close, message, reset, drop_oldest_idle };
inline constexpr sys::EnumWords<OnFull, sys::up_to(OnFull::drop_oldest_idle)> kOnFullWords{"queue", "close", "message",
                                                                                           "reset", "drop_oldest_idle"};

// A count of 0 means "unlimited".
struct Rate {
  std::uint32_t count = 0;
  Duration per{};
};

// How many bits of a client's address identify its source.
struct SourcePrefix {
  std::uint32_t v4 = 32;
  std::uint32_t v6 = 64;
};

enum class PenaltyMode : std::uint8_t { off, log, enforce };
inline constexpr sys::EnumWords<PenaltyMode, sys::up_to(PenaltyMode::enforce)> kPenaltyModeWords{"off", "log",
                                                                                                 "enforce"};
enum class PenaltyOverflow : std::uint8_t { permissive, deny_all };
inline constexpr sys::EnumWords<PenaltyOverflow, sys::up_to(PenaltyOverflow::deny_all)> kPenaltyOverflowWords{
    "permissive", "deny-all"};
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

// The value of RLIM_INFINITY.
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

struct Rlimit {
  int resource;         // getrlimit(2)
  std::uint64_t value;  // soft and hard limit
};

enum class StandardError : std::uint8_t { log, null, socket, inherit };
inline constexpr sys::EnumWords<StandardError, sys::up_to(StandardError::inherit)> kStandardErrorWords{
    "log", "null", "socket", "inherit"};
enum class KillMode : std::uint8_t { group, mixed, process };
inline constexpr sys::EnumWords<KillMode, sys::up_to(KillMode::process)> kKillModeWords{"group", "mixed", "process"};

// The keys that apply to the processes that a listener or a process child starts.
// What a child is given besides its environment.
struct Belongings {
  struct Directory {
    enum class Kind : std::uint8_t { state, runtime, logs } kind = Kind::state;
    std::string base;  // absolute
    std::string name;  // relative to it
    [[nodiscard]] std::string path() const { return base + "/" + name; }
  };
  struct Credential {
    std::string name;
    std::string path;  // absolute: the file that its content is read from
  };
  std::vector<Directory> directories;
  std::vector<Credential> credentials;
  std::string credentials_at;  // the directory that the child finds them in, once that is known
};

struct ChildKeys {
  std::optional<Identity> identity;
  std::vector<std::pair<std::string, std::string>> login;  // HOME, LOGNAME, SHELL, USER of the `user`, from passwd(5)
  std::uint32_t umask = 022;
  std::string chdir = "/";  // absolute; inside `chroot`
  std::string chroot;       // absolute; empty: none
  std::optional<int> nice;
  std::optional<int> ioprio;  // in the form of ioprio_set(2)
  std::optional<int> oom_score_adj;
  std::vector<Rlimit> rlimits;
  std::vector<std::pair<std::string, std::string>> file_env;  // of the env_file, as it was when the file was read
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> pass_env;
  std::vector<std::string> unset_env;
  std::optional<StandardError> standard_error;  // a handler's; absent: the default of its style
  std::optional<std::uint32_t> log_rate_limit;  // lines a second; absent: unlimited
  KillMode kill_mode = KillMode::group;
  sandbox::Policy sandbox;
  Belongings belongings;
};

// PROXY headers: `off` is 0, the others are the versions that are accepted, one bit each.
enum class ProxyProtocol : std::uint8_t { off, v1, v2, any };
inline constexpr sys::EnumWords<ProxyProtocol, sys::up_to(ProxyProtocol::any)> kProxyProtocolWords{"off", "v1", "v2",
                                                                                                   "auto"};
struct Proxy {
  ProxyProtocol protocol = ProxyProtocol::off;
  std::vector<Network> allow_from;
  Duration timeout = std::chrono::seconds(3);
};

// Exceptions for the clients of some networks.
struct Rule {
  std::vector<Network> from;
  bool deny = false;
  std::uint32_t max_connections = 0;  // most connections of each source; 0: as for all other clients
  // Where these are absent, those of the listener hold.
  std::optional<Rate> max_rate_per_source;
  std::optional<Timeout> max_lifetime;
  std::optional<Timeout> idle_timeout;
  std::optional<Timeout> first_byte_timeout;
  bool without_rate = false;  // max_connection_rate is not asked
  std::vector<std::pair<std::string, std::string>> env;
  std::uint32_t handler = 0;  // index in Listener::handlers
};

// When a worker is replaced although nothing is wrong with it.
struct Recycling {
  std::uint32_t max_accepts = 0;         // 0: "unlimited"
  std::uint32_t max_accepts_jitter = 0;  // each worker has a limit of its own, so far from max_accepts at most
  Timeout max_age;
  Rate max_crashes;  // count 0: "unlimited"
};

struct Listener {
  std::vector<ListenAddress> listen;
  SocketOptions sockets;
  std::uint32_t workers = 1;        // "auto" is resolved
  Share max_unavailable{10, true};  // how many workers are replaced at a time
  Recycling recycling;
  std::uint32_t max_connections = 1024;
  bool reserved = false;  // daemon.reserved_connections are for it too
  // Sentences about defaults that are lower than usual, because the system does not allow more.
  std::vector<std::string> remarks;
  std::optional<std::vector<Network>> allow;  // absent: all clients that are not denied; empty: none
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
  // The option `shutdown`: time between TERM and KILL for its connections. "brutal_kill" is zero, "infinity" is
  // kForever.
  Duration connection_shutdown = std::chrono::seconds(5);
  // The first one is the listener's own; the others belong to its rules.
  std::vector<Handler> handlers{1};
  Timeout idle_timeout = std::chrono::minutes(10);  // for the built-in handlers
  Timeout program_idle_timeout;                     // for the others
  Timeout first_byte_timeout;
  int stop_signal = 15;  // for its connections
  OnClientGone on_client_gone = OnClientGone::leave;
  bool count_bytes = false;
  std::vector<std::uint8_t> normal_exit{0};  // for the other handlers
  std::vector<Rule> rules;
  OwnLog log;
  ChildKeys child;
};

// Who makes the first start of a process.
enum class StartBy : std::uint8_t { supervisor, operators };
inline constexpr sys::EnumWords<StartBy, sys::up_to(StartBy::operators)> kStartByWords{"auto", "manual"};
enum class Ready : std::uint8_t { fork, exec, notify_fd, sd_notify };
inline constexpr sys::EnumWords<Ready, sys::up_to(Ready::sd_notify)> kReadyWords{"fork", "exec", "notify_fd",
                                                                                 "sd_notify"};
// Where one of its streams goes.
struct Output {
  enum class Kind : std::uint8_t { log, null, inherit, file } kind = Kind::log;
  std::string path;  // of the file; absolute
};
inline constexpr sys::EnumWords<Output::Kind, sys::up_to(Output::Kind::inherit)> kOutputWords{"log", "null", "inherit"};
struct Process {
  std::vector<std::string> argv;
  std::string arg0;  // what the program gets instead of argv[0]; empty: the same
  StartBy start = StartBy::supervisor;
  bool oneshot = false;                // a job: ready when it has ended normally; `ready` does not matter
  std::vector<std::string> pre_start;  // argv of a command before each run; empty: none
  std::vector<std::string> post_stop;  // and after it
  Ready ready = Ready::fork;
  Timeout watchdog;  // absent: off
  std::vector<std::uint8_t> normal_exit{0};
  std::vector<std::uint8_t> permanent_failure_exit;
  int stop_signal = 15;
  int reload_signal = 0;  // 0: none
  Output output;
  Output error_output;
  OwnLog log;
  ChildKeys child;
};

// One entry of the tree. `spec` carries id, type, restart, shutdown, significant, restart_delay and, for supervisors
// and listeners, the flags. Its `children` stay empty here, because Node::children holds them; tree_of_config() joins
// the two.
struct Node {
  supervision::ChildSpec spec;
  Timeout start_timeout = std::chrono::seconds(10);
  std::optional<Listener> listener;
  std::optional<Process> process;
  bool enabled = true;
  std::vector<Node> children;  // of a supervisor
  std::vector<Node> disabled;  // those that it would have too; nothing but their ids, types and these lists is used
  std::string file;            // the file that contains the entry, for messages: the configuration or an included file
  std::string pointer;         // JSON pointer of the entry in that file
};

// Of a listener or a process; null: it is a supervisor.
template <class AnyNode>
[[nodiscard]] auto child_keys_of(AnyNode& node) -> decltype(&node.process->child) {
  if (node.listener) return &node.listener->child;
  return node.process ? &node.process->child : nullptr;
}

// What happens to the connections when the root gives up.
enum class OnGiveUp : std::uint8_t {
  leave,  // they continue without the daemon
  stop    // they are drained first, as in a stop
};
inline constexpr sys::EnumWords<OnGiveUp, sys::up_to(OnGiveUp::stop)> kOnGiveUpWords{"leave", "stop"};

struct Config {
  std::string file;  // as given
  Timeout drain_timeout = std::chrono::seconds(30);
  Duration lame_duck{};
  Duration close_spread{};
  std::optional<std::uint32_t> max_connections;       // over all listeners; absent: "unlimited"
  std::optional<std::uint32_t> reserved_connections;  // as given; see reserved_places()
  std::string pid_file;                               // absolute; empty: none
  Log log;
  Control control;
  OnGiveUp on_give_up = OnGiveUp::leave;
  Node root;
};

// One problem. Line and column count from 1; the column counts bytes. Text form: FILE:LINE:COLUMN: /pointer: message
struct Problem {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string pointer;
  std::string message;
  [[nodiscard]] std::string text() const;
};
[[nodiscard]] std::vector<std::string> texts_of(const std::vector<Problem>& problems);

struct Loaded {
  std::optional<Config> config;   // set exactly when `problems` is empty
  std::vector<Problem> problems;  // all problems of the file, by position
  std::vector<Problem> warnings;  // what will probably not work as it was meant; the messages begin with "warning: "
  bool needs_root = false;        // some of the problems are none for a daemon of root
  std::string effective;          // --dump-config: the file with defaults filled in; set with `config`
};

// Reads the file at `path` (regular file, at most 1 MiB). It may block on the file system and on the user database;
// nothing else in the master may. Never throws. A file that cannot be read is one Problem with its errno in words.
[[nodiscard]] Loaded load(const std::string& path);
class Host;
[[nodiscard]] Loaded load(const std::string& path, const Host& host);

// The same for text that is already in memory (tests, `check -`); relative paths in it are relative to `directory`.
[[nodiscard]] Loaded parse(std::string_view text, const std::string& file, const std::string& directory);

}  // namespace bulkhead::config
