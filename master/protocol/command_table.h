// The verbs of the control socket, in one table. The server checks requests by it, bulkheadctl parses its command line
// and prints its help by it, and a test compares bulkheadctl(8) with it.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::protocol {

// How a parameter's value is checked, on the command line and in a request. In JSON all are strings, except that
// sequence and count are integers, flag is true or false, change is an integer or a string "+N" or "-N", and child is
// an object or its text.
enum class Kind : std::uint8_t {
  path,        // path of a node: "root/web/echo", "root/echo/2"; the backend gets it with "root/"
  source,      // clients: a network, an address, or a user of a Unix socket
  connection,  // id of a connection, in hexadecimal digits
  peer,        // clients: as source, or with a port, or a process of a Unix socket's user
  signal,      // a name with or without SIG, or a number; the backend gets the form "SIGTERM"
  change,      // "3", "+1", "-1"
  sequence,    // the `seq` of an event
  count,       // 0 or more
  duration,    // "60s"; on the command line also a number of seconds
  state,       // of a node, as `tree` prints it
  flag,
  child,        // an entry of `children` in bulkhead.json(5); the backend gets its text
  text,         // any string
  daemon_file,  // the absolute path of a file that the daemon reads; bulkheadctl makes a path absolute
  local_file,   // a file that bulkheadctl reads itself; never in a request
  crash         // "root/redis@1s": a process, and when; never in a request
};

// Whether a path on the command line may be a pattern, and if it comes last, be one of several. Each node that matches
// is a request of its own.
enum class Each : std::uint8_t { no, node, listener };

struct Parameter {
  std::string_view name;  // in `params`
  Kind kind = Kind::text;
  bool required = false;
  std::string_view placeholder;  // on the command line; empty: a flag, or not on the command line at all
  std::string_view option;       // "--since", "-f"; empty: positional; without a dash: a word before the value
  std::string_view help;
  bool unless = false;  // of a flag: true unless the option, "--no-NAME", is given; "--NAME" is accepted too
  Each each = Each::no;
  std::string_view instead_of{};  // an option that takes the place of this required parameter
};

struct Command {
  std::string_view name;  // the verb, and the method
  std::span<const Parameter> parameters;
  std::string_view help;     // one line, one sentence
  std::string_view when_no;  // when bulkheadctl exits 1, as a clause without a full stop; empty: never
  std::string_view done{};   // what bulkheadctl says then, after the path or the id if there is one; empty: the answer
  bool changes = false;      // has an effect, so the log says which peer requested it
  bool local = false;        // carried out by bulkheadctl itself; not a method
};

inline constexpr std::array kTree{
    Parameter{"path", Kind::path, false, "PATH", "", "Only this node and those below it", false, Each::node}};
inline constexpr std::array kConnections{Parameter{
    "path", Kind::path, false, "PATH", "", "Only those of this listener, worker or supervisor", false, Each::node}};
inline constexpr std::array kFollow{
    Parameter{"since", Kind::sequence, false, "SEQ", "--since", "Begin after the event with this number"},
    Parameter{"last", Kind::count, false, "N", "-n", "Begin with the last N of them"},
    Parameter{"follow", Kind::flag, false, "", "-f", "Continue with new events as they happen"}};
inline constexpr std::array kLogs{
    Parameter{"last", Kind::count, false, "N", "-n", "Only the last N lines"},
    Parameter{"follow", Kind::flag, false, "", "-f", "Continue with new lines as they are logged"},
    Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo; with those below it", false,
              Each::node}};
inline constexpr std::array kPath{
    Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo", false, Each::node}};
inline constexpr std::array kRestart{
    Parameter{"with_dependents", Kind::flag, false, "", "--with-dependents",
              "Restart also what its supervisor's strategy ties to it"},
    Parameter{"remark", Kind::flag, false, "", "", "Whether the answer says what has been left alone"},
    Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo", false, Each::node}};
inline constexpr std::array kListener{
    Parameter{"path", Kind::path, true, "LISTENER", "", "The listener, such as root/echo", false, Each::listener}};
inline constexpr std::array kDrain{
    Parameter{"wait", Kind::flag, false, "", "--wait", "Wait until the connections have ended"},
    Parameter{"path", Kind::path, false, "LISTENER", "", "The listener (default: all of them)", false, Each::listener}};
inline constexpr std::array kSignal{
    Parameter{"path", Kind::path, true, "PATH", "", "The process, such as root/db", false, Each::node},
    Parameter{"signal", Kind::signal, true, "SIG", "", "A name or a number"}};
inline constexpr std::array kOneNode{
    Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo"}};
inline constexpr std::array kWait{
    Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo"},
    Parameter{"state", Kind::state, true, "STATE", "", "A state, as `tree` prints it"},
    Parameter{"timeout", Kind::duration, false, "TIME", "-t", "Give up after this time, such as 30s (default: never)"}};
inline constexpr std::array kAdd{
    Parameter{"path", Kind::path, true, "SUPERVISOR", "", "The supervisor to add to"},
    Parameter{"child", Kind::child, true, "FILE", "", "A file with one entry of `children`; - is standard input"},
    Parameter{"file", Kind::text, false, "", "", "Where the child comes from, for messages"},
    Parameter{"directory", Kind::text, false, "", "", "What relative paths in the child are relative to"}};
inline constexpr std::array kScale{
    Parameter{"path", Kind::path, true, "LISTENER", "", "The listener, such as root/echo", false, Each::listener},
    Parameter{"workers", Kind::change, true, "N", "", "How many workers: N, or +N or -N to add or remove some"}};
inline constexpr std::array kPenalties{Parameter{"clear", Kind::source, false, "PREFIX", "clear",
                                                 "Clear the penalties of the sources within this network"}};
inline constexpr std::array kKill{
    Parameter{"id", Kind::connection, true, "CONN", "", "The connection's id, as `connections` prints it"},
    Parameter{"peer", Kind::peer, false, "PEER", "--peer", "All connections of this client or network", false, Each::no,
              "id"},
    Parameter{"signal", Kind::signal, false, "SIG", "", "A name or a number (default: TERM)"}};
inline constexpr std::array kFile{
    Parameter{"file", Kind::daemon_file, false, "FILE", "", "A configuration (default: the daemon's own)"}};
inline constexpr std::array kReload{
    Parameter{"wait", Kind::flag, false, "", "--no-wait", "Do not wait for the result", true},
    Parameter{"confirm", Kind::duration, false, "TIME", "--confirm",
              "Go back after this time, unless `confirm` follows"},
    Parameter{"reset", Kind::flag, false, "", "--reset", "Also end what operators have made different from the file"}};
inline constexpr std::array kUpgrade{
    Parameter{"wait", Kind::flag, false, "", "--no-wait", "Do not wait for the result", true}};
inline constexpr std::array kShutdown{
    Parameter{"now", Kind::flag, false, "", "--now", "End the connections too, without waiting for them"},
    Parameter{"wait", Kind::flag, false, "", "--wait", "Wait until the daemon has stopped"}};
inline constexpr std::array kSimulate{
    Parameter{"config", Kind::local_file, false, "FILE", "--config",
              "Run the scenario on the tree of this configuration"},
    Parameter{"scenario", Kind::local_file, true, "SCENARIO", "", "A file with the scenario; - is standard input"},
    Parameter{"crash", Kind::crash, false, "CRASH", "--crash", "Instead: PATH or PATH@TIME crashes; may be repeated",
              false, Each::no, "scenario"}};

inline constexpr std::string_view kNoNode = "no such node";
inline constexpr std::string_view kNoSandbox = "no such node, or it is a supervisor";
inline constexpr std::string_view kNoListener = "no such listener";

inline constexpr std::array kCommands{
    Command{"status", {}, "Reports whether the daemon runs, since when, and with which configuration.", ""},
    Command{"tree", kTree, "Prints the supervision tree with the state of every node.", kNoNode},
    Command{"connections", kConnections, "Lists the connections and the process that serves each.", kNoNode},
    Command{"stats", {}, "Prints the connection counters of every listener.", ""},
    Command{"penalties", kPenalties, "Lists the penalised sources, or clears the penalties of some of them.",
            "no source within PREFIX is penalised"},
    Command{"events", kFollow, "Prints what has happened, one event per line.", ""},
    Command{"explain", kPath, "Explains in sentences how a node came to its present state.", kNoNode},
    Command{"logs", kLogs, "Prints the last log lines of a node and of those below it.", kNoNode},
    Command{"sandbox", kPath, "Prints what the sandbox of a node forbids, and which key changes it.", kNoSandbox},
    Command{"is-running", kOneNode, "Tells by its exit status whether a node is running.",
            "no such node, or it is not running", "", false, true},
    Command{"wait", kWait, "Waits until a node is in a state.",
            "no such node, the time is over, or the node cannot come into that state by itself", "", false, true},
    Command{"restart", kRestart, "Stops a node and starts it again.",
            "no such node, or it did not start, which may be because somebody stopped it meanwhile",
            "has been restarted", true},
    Command{"stop", kPath, "Stops a node and keeps its entry, so that it can be started again.", kNoNode,
            "has been stopped", true},
    Command{"start", kPath, "Starts a node that was stopped or has ended.",
            "no such node, or it is running or about to be restarted", "has been started", true},
    Command{"delete", kPath, "Removes the entry of a stopped node from the tree.", "no such node, or it is not stopped",
            "has been deleted", true},
    Command{"add", kAdd, "Adds a child to a supervisor and starts it.",
            "no such supervisor, it already has such a child, or the child does not start", "has a new child", true},
    Command{"scale", kScale, "Sets or changes the number of a listener's workers.", kNoListener,
            "has a new number of workers", true},
    Command{"suspend", kListener, "Stops accepting; the port stays bound and new clients wait in its queue.",
            kNoListener, "no longer accepts connections", true},
    Command{"resume", kListener, "Resumes accepting after suspend.", kNoListener, "accepts connections again", true},
    Command{"drain", kDrain, "Takes a listener, or all of them, out of service and lets the connections end.",
            kNoListener, "is draining", true},
    Command{"signal", kSignal, "Sends a signal to a process of the tree.",
            "no such node, it is not a process, or it is not running", "has been signalled", true},
    Command{"kill", kKill, "Sends a signal to the process group of a connection.", "no such connection",
            "has been signalled", true},
    Command{"check", kFile, "Checks a configuration as the daemon would read it now.", "", "the configuration is good"},
    Command{"diff", kFile, "Reports what a reload of a configuration would change.", ""},
    Command{"reload", kReload, "Reads the configuration again and applies what has changed.", "", "", true},
    Command{"confirm",
            {},
            "Keeps the configuration of a reload that waits for this.",
            "no reload waits to be confirmed, or it is too late",
            "the configuration is kept",
            true},
    Command{"upgrade", kUpgrade, "Replaces the running program by the program file, as the same process.", "", "",
            true},
    Command{"reopen", {}, "Reopens the log, after a rotation.", "", "the log has been reopened", true},
    Command{"config", {}, "Prints the configuration in effect, with its defaults filled in.", ""},
    Command{"shutdown", kShutdown, "Stops the daemon as SIGTERM does.", "", "the daemon is stopping", true},
    Command{"simulate", kSimulate, "Replays a scenario, or crashes, against the supervision rules in virtual time.",
            "the scenario or the configuration has an error", "", false, true}};

// Null if no such verb exists.
[[nodiscard]] const Command* find_command(std::string_view name);

// "; did you mean "tree"?" for "tre", or nothing. `locally`: also those that are not methods.
[[nodiscard]] std::string nearest_command(std::string_view name, bool locally);
// "no method "tre"; did you mean "tree"?"
[[nodiscard]] std::string unknown_command_text(std::string_view name);

// On the command line it is one or more values, of which each match is a request of its own.
[[nodiscard]] bool takes_several(const Command& command, const Parameter& parameter);
// An option that may be given several times; its value is a list.
[[nodiscard]] bool is_repeated(const Parameter& parameter);
// The option that may take the place of this parameter; null: none.
[[nodiscard]] const Parameter* alternative_to(const Command& command, const Parameter& parameter);

// "events [--since SEQ] [-f]"
[[nodiscard]] std::string usage_of(const Command& command);

// The JSON form of a word of the command line, or empty if it is not a value of this kind. `child` and `local_file` are
// not checked.
[[nodiscard]] std::optional<nlohmann::ordered_json> value_of(Kind kind, std::string_view word);

// Describes a value of this kind: "a path such as root/web/echo".
[[nodiscard]] std::string_view expectation(Kind kind);

// "; did you mean "TERM"?" for a value of this kind that is nearly right, or nothing.
[[nodiscard]] std::string suggestion(Kind kind, std::string_view word);

// A path in which some characters stand for others, as in fnmatch(3); in the form with "root/", or empty if it is not
// one.
[[nodiscard]] std::string pattern_of(std::string_view word);

// Checks `params` (an object) against the command and converts the values to the form that the backend gets. Returns an
// error text with the parameter, what was expected and the nearest name; empty if all parameters are good.
[[nodiscard]] std::string check_params(const Command& command, nlohmann::ordered_json& params);

// "SIGTERM" for "TERM", "sigterm", "15"; empty if this system has no such signal.
[[nodiscard]] std::string signal_word(std::string_view text);

}  // namespace bulkhead::protocol
