// The verbs of the control socket, in one table. The server reads it to check requests, bulkheadctl to parse its
// command line and to print its help, and a test to hold bulkheadctl(8) to it.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::protocol {

// How a parameter's value is checked, on the command line and in a request. In JSON all are strings but these: sequence
// is an integer, flag true or false, change an integer or a string "+N" or "-N", child an object or its text.
enum class Kind : std::uint8_t {
  path,        // of a node: "root/web/echo", "root/echo/2"
  source,      // clients: a network or an address, or the user behind a Unix socket
  connection,  // its id, in hexadecimal digits
  signal,      // a name with or without SIG, or a number; the backend always gets "SIGTERM"
  change,      // "3", "+1", "-1"
  sequence,    // the `seq` of an event
  flag,
  child,        // an entry of bulkhead.json(5)'s `children`; the backend always gets its text
  text,         // any string
  daemon_file,  // the absolute path of a file that the daemon reads; bulkheadctl completes it
  local_file    // never in a request: bulkheadctl reads it
};

struct Parameter {
  std::string_view name;  // in `params`
  Kind kind = Kind::text;
  bool required = false;
  std::string_view placeholder;  // on the command line; empty: a flag, or not on the command line at all
  std::string_view option;       // "--since", "-f"; empty: positional; without a dash a word before the value
  std::string_view help;
};

struct Command {
  std::string_view name;  // the verb, and the method
  std::span<const Parameter> parameters;
  std::string_view help;     // one line, one sentence
  std::string_view when_no;  // when bulkheadctl exits 1, as a subordinate clause; empty: never
  bool changes = false;      // does something, so that the log tells who asked for it
  bool local = false;        // needs no daemon: no method
};

inline constexpr std::array kFollow{
    Parameter{"since", Kind::sequence, false, "SEQ", "--since", "Begin after the event with this number"},
    Parameter{"follow", Kind::flag, false, "", "-f", "Go on with new events as they happen"}};
inline constexpr std::array kPath{Parameter{"path", Kind::path, true, "PATH", "", "The node, such as root/web/echo"}};
inline constexpr std::array kListener{
    Parameter{"path", Kind::path, true, "LISTENER", "", "The listener, such as root/echo"}};
inline constexpr std::array kDrain{
    Parameter{"wait", Kind::flag, false, "", "--wait", "Answer when they have ended"},
    Parameter{"path", Kind::path, false, "LISTENER", "", "The listener; all of them unless given"}};
inline constexpr std::array kAdd{
    Parameter{"path", Kind::path, true, "SUPERVISOR", "", "The supervisor to add to"},
    Parameter{"child", Kind::child, true, "FILE", "", "A file with one entry of `children`; - is standard input"},
    Parameter{"file", Kind::text, false, "", "", "Where the child comes from, for messages"},
    Parameter{"directory", Kind::text, false, "", "", "What relative paths in the child are relative to"}};
inline constexpr std::array kScale{
    Parameter{"path", Kind::path, true, "LISTENER", "", "The listener, such as root/echo"},
    Parameter{"workers", Kind::change, true, "N", "", "How many workers: N, or +N or -N from what there are"}};
inline constexpr std::array kPenalties{
    Parameter{"clear", Kind::source, false, "PREFIX", "clear", "Let off the sources within this network"}};
inline constexpr std::array kKill{
    Parameter{"id", Kind::connection, true, "CONN", "", "The connection's id, as `connections` prints it"},
    Parameter{"signal", Kind::signal, false, "SIG", "", "A name or a number; TERM unless given"}};
inline constexpr std::array kFile{
    Parameter{"file", Kind::daemon_file, false, "FILE", "", "A configuration; the daemon's own unless given"}};
inline constexpr std::array kReload{
    Parameter{"wait", Kind::flag, false, "", "--wait", "Answer when it is through, or tell why it was refused"}};
inline constexpr std::array kUpgrade{Parameter{"wait", Kind::flag, false, "", "--wait",
                                               "Answer when it is through, or tell why the old program goes on"}};
inline constexpr std::array kShutdown{
    Parameter{"now", Kind::flag, false, "", "--now", "End the connections too, without waiting for them"}};
inline constexpr std::array kSimulate{
    Parameter{"config", Kind::local_file, false, "FILE", "--config", "Play on the tree of this configuration"},
    Parameter{"scenario", Kind::local_file, true, "SCENARIO", "", "A file with the scenario; - is standard input"}};

inline constexpr std::string_view kNoNode = "there is no such node";
inline constexpr std::string_view kNoListener = "there is no such listener";

inline constexpr std::array kCommands{
    Command{"status", {}, "Tells whether the daemon runs, since when, and with which configuration.", ""},
    Command{"tree", {}, "Prints the supervision tree with the state of every node.", ""},
    Command{"connections", {}, "Lists the connections and the process that serves each.", ""},
    Command{"stats", {}, "Prints the connection counters of every listener.", ""},
    Command{"penalties", kPenalties, "Lists the penalised sources, or lets some of them off.",
            "no source within PREFIX is penalised"},
    Command{"events", kFollow, "Prints what has happened, one event a line.", ""},
    Command{"explain", kPath, "Tells in sentences how a node came to be in its present state.", kNoNode},
    Command{"restart", kPath, "Stops a node and starts it again.", kNoNode, true},
    Command{"stop", kPath, "Stops a node and keeps its entry, so that it can be started again.", kNoNode, true},
    Command{"start", kPath, "Starts a node that was stopped or has ended.",
            "there is no such node, or it is running or about to be restarted", true},
    Command{"delete", kPath, "Removes the entry of a stopped node from the tree.",
            "there is no such node, or it is not stopped", true},
    Command{"add", kAdd, "Adds a child to a supervisor and starts it.",
            "there is no such supervisor, it has such a child already, or the child does not start", true},
    Command{"scale", kScale, "Sets or changes the number of a listener's workers.", kNoListener, true},
    Command{"suspend", kListener, "Stops accepting; the port stays bound and new clients wait in its queue.",
            kNoListener, true},
    Command{"resume", kListener, "Goes on accepting after suspend.", kNoListener, true},
    Command{"drain", kDrain, "Takes a listener out of service, or all of them, and lets the connections end.",
            kNoListener, true},
    Command{"kill", kKill, "Signals the process group of a connection.", "there is no such connection", true},
    Command{"check", kFile, "Checks a configuration as the daemon would read it now.", ""},
    Command{"diff", kFile, "Tells what a reload of a configuration would change.", ""},
    Command{"reload", kReload, "Reads the configuration again and applies what has changed.", "", true},
    Command{"upgrade", kUpgrade, "Executes the daemon's program anew, as the same process.", "", true},
    Command{"reopen", {}, "Opens the log again, after a rotation.", "", true},
    Command{"config", {}, "Prints the configuration in effect, with its defaults filled in.", ""},
    Command{"shutdown", kShutdown, "Stops the daemon as SIGTERM does.", "", true},
    Command{"simulate", kSimulate, "Replays a scenario against the supervision rules in virtual time.",
            "the scenario or the configuration has an error", false, true}};

// Null when there is no such verb.
[[nodiscard]] const Command* find_command(std::string_view name);

// "no method "tre"; did you mean "tree"?"
[[nodiscard]] std::string unknown_command_text(std::string_view name);

// "events [--since SEQ] [-f]"
[[nodiscard]] std::string usage_of(const Command& command);

// Whether a word of the command line can be a value of this kind; then its JSON form. `child` and `local_file` are
// taken as they are.
[[nodiscard]] std::optional<nlohmann::ordered_json> value_of(Kind kind, std::string_view word);

// What a value of this kind has to look like: "a path such as root/web/echo".
[[nodiscard]] std::string_view expectation(Kind kind);

// Checks `params` (an object) against the command and brings the values into the form that the backend gets. Returns
// the complaint, which names the parameter, what was expected and the nearest name; empty when there is none.
[[nodiscard]] std::string check_params(const Command& command, nlohmann::ordered_json& params);

// "SIGTERM" for "TERM", "sigterm", "15"; empty for what is no signal of this system.
[[nodiscard]] std::string signal_word(std::string_view text);

}  // namespace bulkhead::protocol
