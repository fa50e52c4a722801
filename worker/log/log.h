// One log line: built on the stack, written with one write(2), at most 4096 bytes with its newline (PIPE_BUF, so that
// lines of several processes never mix; pipe(7)). Every process of bulkhead makes its own lines. Only the master writes
// to the log itself: those of its workers it passes on (master/process/worker_lines.h).
//
//   text  2026-11-22T15:07:37.123Z bulkheadd[812] info root/echo: Serving requests on port 4040 address=127.0.0.1:4040
//   json
//   {"time":"…","level":"info","program":"bulkheadd","program_pid":812,"path":"root/echo","message":"…","address":"…"}
//
// A stream to systemd's journal gets `<6>root/echo: …` in place of time, program and level: the journal has its own,
// and would keep every line under the priority 6. The change is made last, so keepers get the whole line.
//
// To syslog(3)'s socket goes `<PRI>identity[pid]: ` and the line without its time and level (RFC 3164; the daemon there
// stamps it); to journald's, the fields of systemd.journal-fields(7), ours as BULKHEAD_NAME.
//
// Safe after fork: no allocation, no lock, no locale, no time zone file. Control characters, invalid UTF-8 and
// characters that change the direction of text (utf8.h) are escaped as \xNN in both forms, and a backslash is doubled,
// so that a peer cannot forge a line or control a terminal. Never blocks: if the descriptor is full the line is dropped
// and counted, and the next one that fits is preceded by one that says how many are missing. Only the output of
// processes waits for room (offer()).
#pragma once

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/sys/enum_words.h"

namespace bulkhead::log {

enum class Level : std::uint8_t { debug, info, warning, error };
inline constexpr sys::EnumWords<Level, sys::up_to(Level::error)> kLevelWords{"debug", "info", "warning", "error"};
enum class Format : std::uint8_t { text, json };
inline constexpr sys::EnumWords<Format, sys::up_to(Format::json)> kFormatWords{"text", "json"};
enum class Transport : std::uint8_t { stream, syslog, journald };  // the reader at the other end

// How much of a client's address a line shows.
enum class Addresses : std::uint8_t { full, prefix, none };
inline constexpr sys::EnumWords<Addresses, sys::up_to(Addresses::none)> kAddressesWords{"full", "prefix", "none"};

struct Settings {
  int fd = 2;
  Format format = Format::text;
  Level level = Level::info;
  const char* program = "bulkheadd";  // must outlive the process's logging
  Transport transport = Transport::stream;
  std::uint32_t facility = 3;          // syslog and journald: daemon (RFC 5424, table 1)
  const char* identity = "bulkheadd";  // syslog and journald; must outlive the process's logging
  Addresses addresses = Addresses::full;
  bool priorities = false;  // a stream of text: its reader takes "<N>" for time, program and level (sd-daemon(3))
};

class Line;

inline constexpr std::size_t kMaxLine = 4096;

// A log: its descriptor, the form of its lines, and what it has not taken. The descriptor stays the caller's; it should
// be nonblocking; if it cannot be made so (an inherited socket or another user's pipe), each line first polls whether
// it would block.
class Sink {
 public:
  Sink() = default;  // to be configured
  void configure(const Settings& settings) noexcept;
  void set_fd(int fd) noexcept;
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  [[nodiscard]] bool enabled(Level level) const noexcept { return level >= settings_.level; }
  // Whether the log is a stream of lines, and not the socket of a log daemon.
  [[nodiscard]] bool is_stream() const noexcept { return settings_.transport == Transport::stream; }
  // Writes lines that another process has made, with their newlines, at most kMaxLine bytes together; `count` are lost
  // if they do not fit. For a stream.
  void pass_on(std::string_view lines, std::uint64_t count) noexcept;
  // For lines whose writer can wait: writes as many of these whole lines as the log takes now, and returns how many
  // bytes are done with. Fewer than all: the log is full, or only as much room is left as the daemon's own lines need;
  // offer the rest later. What can never be written, because the disk is full or the reader is gone, is done with: it
  // is dropped and counted.
  [[nodiscard]] std::size_t offer(std::string_view lines) noexcept;
  void count_dropped(std::uint64_t lines) noexcept;                       // by the caller
  [[nodiscard]] std::uint64_t dropped() const noexcept { return lost_; }  // since the start, reported or not

 private:
  friend class Line;
  // How to write without blocking: a nonblocking description just says EAGAIN, a socket can be told for one call, and
  // anything else is asked first (a pipe that polls writable takes PIPE_BUF bytes; pipe(7)).
  enum class Way : std::uint8_t { nonblocking, socket, ask_first };

  [[nodiscard]] bool is_json() const noexcept {
    return settings_.format == Format::json && settings_.transport != Transport::journald;
  }
  [[nodiscard]] ssize_t put_once(const char* bytes, std::size_t length) const noexcept;
  [[nodiscard]] ssize_t put_some(const char* bytes, std::size_t length) const noexcept;
  [[nodiscard]] ssize_t put_lines(std::string_view lines) const noexcept;
  [[nodiscard]] bool put(const char* bytes, std::size_t length) const noexcept;
  [[nodiscard]] bool is_crowded() const noexcept;
  [[nodiscard]] std::string_view first_of(std::string_view lines) const noexcept;
  void report_missing() noexcept;

  Settings settings_;
  Way way_ = Way::nonblocking;
  int room_ = 0;  // bytes that a pipe or socket holds for its reader; 0: no limit is known
  std::uint64_t lost_ = 0;
  std::uint64_t unreported_ = 0;
};

// Copies text lines to `out`, which holds at least as many bytes, in the form for sd-daemon(3); returns their length.
// What is no line of ours stays as it is.
[[nodiscard]] std::size_t with_priorities(std::string_view lines, char* out) noexcept;

// The process's own log, and short forms for it.
[[nodiscard]] Sink& own() noexcept;
void configure(const Settings& settings) noexcept;
void set_fd(int fd) noexcept;
[[nodiscard]] bool enabled(Level level) noexcept;
[[nodiscard]] bool is_stream() noexcept;
[[nodiscard]] std::uint64_t dropped() noexcept;
void after_fork() noexcept;  // a child that writes lines of its own: they carry its pid

// Gets a copy of each line, without its newline, to keep the last ones: in the form for a stream, whatever the target
// is, and before the log takes it or drops it. `path` and `line` are valid during the call. At most one keeper, and
// none in a forked child (after_fork()).
class Keeper {
 public:
  virtual ~Keeper() = default;
  virtual void keep(std::string_view path, std::string_view line) noexcept = 0;
};
void keep_with(Keeper* keeper) noexcept;  // null: no longer
// A line that another process has made and that is passed on, below a path.
void keep(std::string_view path, std::string_view line) noexcept;
// Errors are written as text to this descriptor too (-1: no longer), for the shell that starts the daemon.
void echo_errors_to(int fd) noexcept;

// What a line is about, and the log that it goes to: by default the process's own.
class Place {
 public:
  template <class Path>
  requires std::convertible_to<const Path&, std::string_view>
  // NOLINTNEXTLINE(google-explicit-constructor): a path is a place
  Place(const Path& path)
  noexcept : path_(path), sink_(&own()) {}
  Place(std::string_view path, Sink& sink) noexcept : path_(path), sink_(&sink) {}
  [[nodiscard]] std::string_view path() const noexcept { return path_; }
  [[nodiscard]] Sink& sink() const noexcept { return *sink_; }

 private:
  std::string_view path_;
  Sink* sink_;
};

// Usage:  Line(Level::info, "root/echo").text("worker ").number(2).text(" is ready").field("pid", 812).write();
// The message comes first, the fields after it; write() once, at the end.
class Line {
 public:
  Line(Level level, const Place& place) noexcept;
  [[nodiscard]] Addresses addresses() const noexcept { return sink_.settings_.addresses; }
  Line& text(std::string_view words) noexcept;
  // As many whole characters of the text as the message has room for; returns how many bytes that were.
  std::size_t text_that_fits(std::string_view words) noexcept;
  Line& number(std::int64_t value) noexcept;
  Line& seconds(std::int64_t nanoseconds) noexcept;  // "1.234 s"
  Line& field(std::string_view name, std::string_view value) noexcept;
  Line& field(std::string_view name, std::int64_t value) noexcept;
  // Exactly bool, so that no pointer becomes one.
  Line& field(std::string_view name, std::same_as<bool> auto value) noexcept { return boolean(name, value); }
  Line& field_seconds(std::string_view name, std::int64_t nanoseconds) noexcept;
  void write() noexcept;
  // In place of write(), for offer(): the whole line with its newline, valid as long as this object; empty: its level
  // is not logged.
  [[nodiscard]] std::string_view finish() noexcept;

 private:
  static constexpr std::size_t kSize = kMaxLine;
  // The message leaves room for the fields, and a field that does not fit as a whole is left out, so that a long line
  // can still be parsed; a cut message ends in "...".
  static constexpr std::size_t kMessageLimit = 3072;
  static constexpr std::size_t kLimit = kSize - 8;
  Line(Level level, const Line& other) noexcept;  // begins as one for a stream
  void put_path(std::string_view path) noexcept;
  void keep() const noexcept;
  void keep_as_stream() const noexcept;
  void add_journald_fields(std::string_view fields) noexcept;
  void begin_stream(Level level, std::string_view path) noexcept;
  void begin_syslog(Level level, std::string_view path) noexcept;
  void begin_journald(Level level, std::string_view path) noexcept;
  void begin_json(Level level, std::string_view path) noexcept;
  void echo() const noexcept;
  bool journald_name(std::string_view name) noexcept;
  bool raw(std::string_view bytes) noexcept;
  std::size_t escaped(std::string_view bytes) noexcept;
  void digits(std::int64_t value, int width) noexcept;
  void fraction(std::int64_t nanoseconds) noexcept;
  void timestamp() noexcept;
  void end_message() noexcept;
  bool name(std::string_view name) noexcept;
  Line& boolean(std::string_view name, bool value) noexcept;

  [[nodiscard]] const Settings& settings() const noexcept { return sink_.settings_; }
  [[nodiscard]] bool is_json() const noexcept { return sink_.is_json(); }

  Sink& sink_;
  char buffer_[kSize];
  std::size_t length_ = 0;
  std::size_t body_at_ = 0;  // after what is for syslog only
  std::size_t path_at_ = 0;
  std::size_t path_end_ = 0;
  std::size_t message_at_ = 0;
  std::size_t message_end_ = 0;
  Level level_;
  bool enabled_;
  bool in_message_ = true;
  bool cut_ = false;
};

// One line a second about one subject; `suppressed` is the number of lines that were not written since. Injected time.
class RateLimit {
 public:
  [[nodiscard]] bool open(std::int64_t now_ns) const noexcept { return now_ns >= next_ns_; }
  [[nodiscard]] bool allow(std::int64_t now_ns) noexcept {
    if (!open(now_ns)) {
      ++suppressed_;
      return false;
    }
    next_ns_ = now_ns + 1'000'000'000;
    return true;
  }
  // A line was suppressed, and allow() would return true now.
  [[nodiscard]] bool overdue(std::int64_t now_ns) const noexcept { return suppressed_ != 0 && now_ns >= next_ns_; }
  // How many lines were suppressed since the last one that was allowed; reading resets it.
  [[nodiscard]] std::uint64_t take_suppressed() noexcept {
    const std::uint64_t count = suppressed_;
    suppressed_ = 0;
    return count;
  }

 private:
  std::int64_t next_ns_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace bulkhead::log
