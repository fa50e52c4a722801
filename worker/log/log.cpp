#include "worker/log/log.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "worker/log/utf8.h"

namespace bulkhead::log {

namespace {

pid_t own_pid = 0;  // asked once
int echo_fd = -1;
Keeper* keeper = nullptr;

constexpr std::uint32_t kSeverities[] = {7, 6, 4, 3};  // RFC 5424, table 2

std::uint64_t lines_in(std::string_view lines) noexcept {
  std::uint64_t count = 0;
  for (const char c : lines) count += c == '\n' ? 1 : 0;
  return count;
}

int room_of(int fd, bool is_socket) noexcept {
  int size = 0;
  socklen_t length = sizeof size;
  if (is_socket) return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 ? size : 0;
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) return 0;
  return std::max(fcntl(fd, F_GETPIPE_SZ), 0);
}

bool is_socket(int fd) noexcept {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

// Days since 1970-01-01 to year, month, day in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
// low-level date algorithms"). gmtime() may take the time zone lock, which a forked child must not.
struct Date {
  std::int64_t year;
  std::int64_t month;
  std::int64_t day;
};
Date date_of(std::int64_t days) noexcept {
  days += 719468;
  const std::int64_t era = days / 146097;
  const std::int64_t of_era = days - era * 146097;
  const std::int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const std::int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const std::int64_t shifted = (5 * of_year + 2) / 153;
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {year + era * 400 + (month <= 2 ? 1 : 0), month, of_year - (153 * shifted + 2) / 5 + 1};
}

// "2026-11-22T15:07:37.123Z bulkheadd[812] info root/echo: …": where the path begins, and the level before it; 0: it is
// no such line.
std::size_t path_of(std::string_view line, Level& level) noexcept {
  const std::size_t time = line.find(' ');
  const std::size_t program = time == std::string_view::npos ? time : line.find(' ', time + 1);
  const std::size_t word = program == std::string_view::npos ? program : line.find(' ', program + 1);
  if (word == std::string_view::npos) return 0;
  const auto found = kLevelWords.find(line.substr(program + 1, word - program - 1));
  if (!found) return 0;
  level = *found;
  return word + 1;
}

}  // namespace

std::size_t with_priorities(std::string_view lines, char* out) noexcept {
  char* at = out;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, std::min(lines.find('\n'), lines.size() - 1) + 1);
    Level level = Level::info;
    const std::size_t path = path_of(line, level);
    if (path != 0) {
      *at++ = '<';
      *at++ = static_cast<char>('0' + kSeverities[static_cast<std::size_t>(level)]);
      *at++ = '>';
    }
    std::memcpy(at, line.data() + path, line.size() - path);
    at += line.size() - path;
    lines.remove_prefix(line.size());
  }
  return static_cast<std::size_t>(at - out);
}

Sink& own() noexcept {
  static constinit Sink sink;
  return sink;
}
void configure(const Settings& wanted) noexcept {
  own().configure(wanted);
}
void set_fd(int fd) noexcept {
  own().set_fd(fd);
}

void Sink::configure(const Settings& wanted) noexcept {
  settings_ = wanted;
  own_pid = getpid();
  set_fd(wanted.fd);
}

void Sink::set_fd(int fd) noexcept {
  settings_.fd = fd;
  const bool nonblocking = (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
  way_ = is_socket(fd) ? Way::socket : nonblocking ? Way::nonblocking : Way::ask_first;
  room_ = room_of(fd, way_ == Way::socket);
}

ssize_t Sink::put_once(const char* bytes, std::size_t length) const noexcept {
  if (way_ == Way::socket) return ::send(settings_.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  pollfd ask{settings_.fd, POLLOUT, 0};
  if (way_ == Way::ask_first && ::poll(&ask, 1, 0) != 1) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(settings_.fd, bytes, length);
}

ssize_t Sink::put_some(const char* bytes, std::size_t length) const noexcept {
  for (;;) {
    const ssize_t written = put_once(bytes, length);
    if (written >= 0 || errno != EINTR) return written;
  }
}

// The number of bytes of `lines` that are done with. A short write of lines that were changed ends them: only a stream
// socket that is nearly full makes one.
ssize_t Sink::put_lines(std::string_view lines) const noexcept {
  const bool changes = settings_.priorities && is_stream() && !is_json() && lines.size() <= kMaxLine;
  if (!changes) return put_some(lines.data(), lines.size());
  char changed[kMaxLine];
  const ssize_t written = put_some(changed, with_priorities(lines, changed));
  return written < 0 ? written : static_cast<ssize_t>(lines.size());
}

// False: nothing was written, or only a part (a full disk; pipes take a line of this size whole or not at all).
bool Sink::put(const char* bytes, std::size_t length) const noexcept {
  return put_lines({bytes, length}) == static_cast<ssize_t>(length);
}

// Whether so much waits for the reader that the rest of the room is kept for lines whose writers cannot wait. Three
// quarters are: a pipe that holds one long line in each of its pages is full at half of its size.
bool Sink::is_crowded() const noexcept {
  int waiting = 0;
  if (room_ == 0 || ioctl(settings_.fd, way_ == Way::socket ? SIOCOUTQ : FIONREAD, &waiting) != 0) return false;
  return waiting > room_ / 4;
}

// What is written at once: lines that fit into one write, or the only one that a datagram may hold.
std::string_view Sink::first_of(std::string_view lines) const noexcept {
  const std::size_t end = is_stream() ? lines.substr(0, kMaxLine).rfind('\n') : lines.find('\n');
  return lines.substr(0, end == std::string_view::npos ? end : end + 1);
}

void Sink::count_dropped(std::uint64_t count) noexcept {
  lost_ += count;
  unreported_ += count;
}

void Sink::report_missing() noexcept {
  if (unreported_ == 0) return;
  const std::uint64_t missing = unreported_;
  unreported_ = 0;
  Line(Level::error, {"log", *this})
      .text("dropped ")
      .number(static_cast<std::int64_t>(missing))
      .text(missing == 1 ? " line: the log was full" : " lines: the log was full")
      .write();
  if (unreported_ != 0) unreported_ += missing - 1;
}

std::size_t Sink::offer(std::string_view lines) noexcept {
  const std::size_t all = lines.size();
  while (!lines.empty()) {
    const std::string_view some = first_of(lines);
    if (is_crowded()) break;
    if (unreported_ != 0) report_missing();
    const ssize_t written = put_lines(some);
    if (written < 0 && errno == EAGAIN) break;
    if (written < 0) count_dropped(lines_in(some));
    lines.remove_prefix(written < 0 ? some.size() : static_cast<std::size_t>(written));
  }
  return all - lines.size();
}

void Sink::pass_on(std::string_view lines, std::uint64_t count) noexcept {
  report_missing();
  if (!put(lines.data(), lines.size())) count_dropped(count);
}

void after_fork() noexcept {
  own_pid = getpid();
  keeper = nullptr;
}
void keep_with(Keeper* one) noexcept {
  keeper = one;
}
void keep(std::string_view path, std::string_view line) noexcept {
  if (keeper != nullptr) keeper->keep(path, line);
}
bool enabled(Level level) noexcept {
  return own().enabled(level);
}
void echo_errors_to(int fd) noexcept {
  echo_fd = fd;
}
bool is_stream() noexcept {
  return own().is_stream();
}
std::uint64_t dropped() noexcept {
  return own().dropped();
}

Line::Line(Level level, const Place& place) noexcept
    : sink_(place.sink()), level_(level), enabled_(sink_.enabled(level)) {
  if (!enabled_) return;
  const std::string_view path = place.path();
  switch (settings().transport) {
    case Transport::stream: is_json() ? begin_json(level, path) : begin_stream(level, path); break;
    case Transport::syslog: begin_syslog(level, path); break;
    case Transport::journald: begin_journald(level, path); break;
  }
  message_at_ = length_;
}

void Line::begin_json(Level level, std::string_view path) noexcept {
  raw("{\"time\":\"");
  timestamp();
  raw("\",\"level\":\"");
  raw(kLevelWords.text(level));
  raw("\",\"program\":\"");
  raw(settings().program);
  raw("\",\"program_pid\":");
  digits(own_pid, 1);
  raw(",\"path\":\"");
  put_path(path);
  raw("\",\"message\":\"");
}

void Line::begin_stream(Level level, std::string_view path) noexcept {
  timestamp();
  raw(" ");
  raw(settings().program);
  raw("[");
  digits(own_pid, 1);
  raw("] ");
  raw(kLevelWords.text(level));
  raw(" ");
  put_path(path);
  raw(": ");
}

void Line::begin_syslog(Level level, std::string_view path) noexcept {
  raw("<");
  digits(settings().facility * 8 + kSeverities[static_cast<std::size_t>(level)], 1);
  raw(">");
  raw(settings().identity);
  raw("[");
  digits(own_pid, 1);
  raw("]: ");
  body_at_ = length_;
  if (is_json()) return begin_json(level, path);
  put_path(path);
  raw(": ");
}

void Line::begin_journald(Level level, std::string_view path) noexcept {
  raw("PRIORITY=");
  digits(kSeverities[static_cast<std::size_t>(level)], 1);
  raw("\nSYSLOG_FACILITY=");
  digits(settings().facility, 1);
  raw("\nSYSLOG_IDENTIFIER=");
  raw(settings().identity);
  raw("\nBULKHEAD_PATH=");
  escaped(path);
  raw("\nMESSAGE=");
  put_path(path);
  raw(": ");
}

void Line::put_path(std::string_view path) noexcept {
  path_at_ = length_;
  escaped(path);
  path_end_ = length_;
}

bool Line::raw(std::string_view bytes) noexcept {
  if (!enabled_ || cut_) return false;
  if (length_ + bytes.size() > (in_message_ ? kMessageLimit : kLimit)) {
    cut_ = true;
    return false;
  }
  std::memcpy(buffer_ + length_, bytes.data(), bytes.size());
  length_ += bytes.size();
  return true;
}

// A backslash is doubled, so that a text never looks like another one that was escaped. JSON has no \x, and needs one
// more of each: a reader of either form sees the same.
// Returns how many of the bytes had room.
std::size_t Line::escaped(std::string_view bytes) noexcept {
  static constexpr char kHex[] = "0123456789abcdef";
  const bool json = is_json();
  const std::size_t all = bytes.size();
  while (!bytes.empty()) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    const std::size_t shown = shown_length(bytes);
    const char escape[] = {'\\', '\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    std::string_view out = bytes.substr(0, shown);
    if (shown == 0) out = json ? std::string_view(escape, 5) : std::string_view(escape + 1, 4);
    if (byte == '\\') out = json ? R"(\\\\)" : R"(\\)";
    if (byte == '"' && json) out = R"(\")";
    if (!raw(out)) break;
    bytes.remove_prefix(shown == 0 ? 1 : shown);
  }
  return all - bytes.size();
}

void Line::digits(std::int64_t value, int width) noexcept {
  char text[24];
  std::size_t at = sizeof text;
  std::uint64_t rest = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  do {
    text[--at] = static_cast<char>('0' + rest % 10);
    rest /= 10;
    --width;
  } while (rest != 0 || width > 0);
  if (value < 0) text[--at] = '-';
  raw({text + at, sizeof text - at});
}

void Line::fraction(std::int64_t nanoseconds) noexcept {
  if (nanoseconds < 0) nanoseconds = 0;
  digits(nanoseconds / 1'000'000'000, 1);
  raw(".");
  digits(nanoseconds / 1'000'000 % 1000, 3);
}

void Line::timestamp() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const Date date = date_of(now.tv_sec / 86400);
  const std::int64_t second = now.tv_sec % 86400;
  digits(date.year, 4);
  raw("-");
  digits(date.month, 2);
  raw("-");
  digits(date.day, 2);
  raw("T");
  digits(second / 3600, 2);
  raw(":");
  digits(second / 60 % 60, 2);
  raw(":");
  digits(second % 60, 2);
  raw(".");
  digits(now.tv_nsec / 1'000'000, 3);
  raw("Z");
}

Line& Line::text(std::string_view words) noexcept {
  escaped(words);
  return *this;
}

std::size_t Line::text_that_fits(std::string_view words) noexcept {
  const std::size_t done = escaped(words);
  cut_ = false;
  return enabled_ ? done : words.size();
}

Line& Line::number(std::int64_t value) noexcept {
  digits(value, 1);
  return *this;
}

Line& Line::seconds(std::int64_t nanoseconds) noexcept {
  fraction(nanoseconds);
  raw(" s");
  return *this;
}

void Line::end_message() noexcept {
  if (!in_message_) return;
  const bool was_cut = cut_;
  in_message_ = false;
  cut_ = false;
  if (was_cut) raw("...");
  message_end_ = length_;
  if (is_json()) raw("\"");
}

bool Line::name(std::string_view field_name) noexcept {
  end_message();
  if (settings().transport == Transport::journald) return journald_name(field_name);
  if (is_json()) return raw(",\"") && raw(field_name) && raw("\":");
  return raw(" ") && raw(field_name) && raw("=");
}

bool Line::journald_name(std::string_view field_name) noexcept {
  if (!raw("\nBULKHEAD_")) return false;
  for (const char c : field_name) {
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (!raw({&upper, 1})) return false;
  }
  return raw("=");
}

Line& Line::field(std::string_view field_name, std::string_view value) noexcept {
  if (!enabled_) return *this;
  end_message();
  const std::size_t start = length_;
  const bool quoted = is_json() || (settings().transport != Transport::journald &&
                                    (value.empty() || value.find(' ') != std::string_view::npos));
  const std::string_view quote = quoted ? "\"" : "";
  if (!(name(field_name) && raw(quote) && escaped(value) == value.size() && raw(quote))) length_ = start;
  cut_ = false;
  return *this;
}

Line& Line::field(std::string_view field_name, std::int64_t value) noexcept {
  if (name(field_name)) digits(value, 1);
  return *this;
}

Line& Line::boolean(std::string_view field_name, bool value) noexcept {
  if (name(field_name)) raw(value ? "true" : "false");
  return *this;
}

Line& Line::field_seconds(std::string_view field_name, std::int64_t nanoseconds) noexcept {
  if (name(field_name)) fraction(nanoseconds);
  return *this;
}

void Line::echo() const noexcept {
  static constexpr std::string_view kWho = "bulkheadd: ";
  (void)!::write(echo_fd, kWho.data(), kWho.size());
  (void)!::write(echo_fd, buffer_ + message_at_, message_end_ - message_at_);
  (void)!::write(echo_fd, "\n", 1);
}

std::string_view Line::finish() noexcept {
  if (!enabled_) return {};
  end_message();
  const std::string_view end = is_json() ? "}\n" : "\n";
  std::memcpy(buffer_ + length_, end.data(), end.size());
  length_ += end.size();
  if (keeper != nullptr) keep();
  return {buffer_, length_};
}

Line::Line(Level level, const Line& other) noexcept : sink_(other.sink_), level_(level), enabled_(true) {
  begin_stream(level, {other.buffer_ + other.path_at_, other.path_end_ - other.path_at_});
}

void Line::keep() const noexcept {
  const bool is_whole = settings().transport == Transport::stream || is_json();
  if (!is_whole) return keep_as_stream();
  keeper->keep({buffer_ + path_at_, path_end_ - path_at_}, {buffer_ + body_at_, length_ - 1 - body_at_});
}

void Line::keep_as_stream() const noexcept {
  Line copy(level_, *this);
  copy.raw({buffer_ + message_at_, message_end_ - message_at_});
  copy.end_message();
  const std::string_view fields(buffer_ + message_end_, length_ - 1 - message_end_);
  if (settings().transport == Transport::journald) {
    copy.add_journald_fields(fields);
  } else {
    copy.raw(fields);
  }
  keeper->keep({buffer_ + path_at_, path_end_ - path_at_}, {copy.buffer_, copy.length_});
}

// "\nBULKHEAD_PID=812": no value has a newline.
void Line::add_journald_fields(std::string_view fields) noexcept {
  static constexpr std::string_view kPrefix = "\nBULKHEAD_";
  while (fields.starts_with(kPrefix)) {
    fields.remove_prefix(kPrefix.size());
    const std::string_view one = fields.substr(0, fields.find('\n'));
    const std::size_t equals = one.find('=');
    const bool quoted = equals + 1 == one.size() || one.find(' ') != std::string_view::npos;
    raw(" ");
    for (const char c : one.substr(0, equals)) {
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      raw({&lower, 1});
    }
    raw(quoted ? "=\"" : "=");
    raw(one.substr(equals + 1));
    if (quoted) raw("\"");
    fields.remove_prefix(one.size());
  }
}

void Line::write() noexcept {
  if (!enabled_) return;
  const std::string_view line = finish();
  if (level_ == Level::error && echo_fd >= 0 && &sink_ == &own()) echo();
  sink_.pass_on(line, 1);
}

}  // namespace bulkhead::log
