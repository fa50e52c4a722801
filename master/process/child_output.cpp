#include "master/process/child_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "worker/log/log.h"
#include "worker/log/suppressed.h"

namespace bulkhead::process {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytesAtEnd = 256U << 10U;  // more than a pipe holds (pipe(7))
constexpr auto kMostPatience = 64ms;

std::uint64_t lines_in(std::string_view bytes) {
  return static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

}  // namespace

ChildOutput::ChildOutput(loop::Loop& loop, std::string path, log::OutputBudget::Limits limits,
                         std::shared_ptr<NodeLog> log)
    : loop_(loop),
      path_(std::move(path)),
      log_(std::move(log)),
      budget_(limits),
      second_(loop, [this] { end_second(); }),
      again_(loop, [this] { go_on(); }) {}

sys::Result<ChildOutput::ChildEnds> ChildOutput::open(const Wanted& wanted) {
  ChildEnds ends;
  if (wanted.out) {
    auto out = open(out_, wanted.out_file);
    if (!out) return out.error();
    ends.out = std::move(*out);
  }
  if (wanted.error) {
    auto error = open(error_, wanted.error_file);
    if (!error) return error.error();
    ends.error = std::move(*error);
  }
  return ends;
}

sys::Result<sys::Fd> ChildOutput::open(Stream& stream, const std::string& file) {
  if (!file.empty()) {
    stream.file = std::make_unique<OutputFile>(path_, file);
    if (const auto error = stream.file->open()) return *error;
  }
  int ends[2];
  // Only the master's end becomes nonblocking, by the watch on it: programs do not expect a nonblocking stdout.
  if (pipe2(ends, O_CLOEXEC) != 0) return sys::Error{"pipe", stream.name, errno};
  sys::Fd write(ends[1]);
  auto read = WatchedFd::attempt(loop_, sys::Fd(ends[0]), [this, &stream] { take_turn(stream, kBytesPerTurn); });
  if (!read) return read.error();
  stream.pipe = std::move(*read);
  return write;
}

std::vector<std::string> ChildOutput::reopen() {
  std::vector<std::string> problems;
  for (const Stream* stream : {&out_, &error_}) {
    if (!stream->file) continue;
    const auto error = stream->file->open();
    if (error) problems.push_back(path_ + " still writes to its old file: " + error->text());
  }
  return problems;
}

void ChildOutput::take_turn(Stream& stream, std::size_t limit) {
  if (!stream.pipe) return;
  switch (move_some(stream, limit)) {
    case Left::held_up: return hold_up();
    case Left::end: return finish(stream);
    case Left::more: return pause(0ms);
    case Left::nothing: break;
  }
}

ChildOutput::Left ChildOutput::move_some(Stream& stream, std::size_t limit) {
  char buffer[16U << 10U];
  const std::string held = std::exchange(stream.held, {});
  std::string_view bytes = held;
  for (;;) {
    if (!bytes.empty()) begin_second();
    const Left left = stream.file ? copy(stream, bytes, limit) : log_lines(stream, bytes, limit);
    if (left != Left::nothing) {
      stream.held = bytes;
      return left;
    }
    const ssize_t got = ::read(stream.pipe.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return send() ? Left::nothing : Left::held_up;
    if (got <= 0) return Left::end;
    bytes = {buffer, static_cast<std::size_t>(got)};
  }
}

ChildOutput::Left ChildOutput::copy(Stream& stream, std::string_view& bytes, std::size_t& limit) {
  if (limit == 0) return Left::more;
  const std::size_t written = stream.file->write(bytes);
  budget_.take_bytes(written);
  limit -= std::min(limit, written);
  bytes.remove_prefix(written);
  if (written != 0) patience_ = 0ms;
  return bytes.empty() ? Left::nothing : Left::held_up;
}

ChildOutput::Left ChildOutput::log_lines(Stream& stream, std::string_view& bytes, std::size_t& limit) {
  for (;;) {
    if ((limit == 0 || unsent_.size() >= log::kMaxLine) && !send()) return Left::held_up;
    if (limit == 0) return Left::more;
    const auto piece = stream.lines.next(bytes);
    if (!piece) return Left::nothing;
    const std::size_t cost = make_lines(stream, *piece);
    budget_.take_bytes(cost);
    limit -= std::min(limit, cost);
  }
}

// Returns how many bytes that cost. A text with much to escape needs several lines.
std::size_t ChildOutput::make_lines(const Stream& stream, const log::LineSplitter::Piece& piece) {
  if (!budget_.take_line()) return piece.text.size() + 1;
  const std::size_t before = unsent_.size();
  std::string_view rest = piece.text;
  bool continued = piece.continued;
  for (;;) {
    log::Line line(log::Level::info, place());
    const std::size_t taken = line.text_that_fits(rest);
    line.field("stream", stream.name);
    if (continued) line.field("continued", true);
    unsent_ += line.finish();
    rest.remove_prefix(taken);
    if (rest.empty() || taken == 0) break;
    continued = true;
  }
  return unsent_.size() - before + piece.text.size() + 1;
}

// False: the log is full.
bool ChildOutput::send() {
  const std::size_t sent = sink().offer(unsent_);
  unsent_.erase(0, sent);
  if (sent != 0) patience_ = 0ms;
  return unsent_.empty();
}

void ChildOutput::read_rest() {
  if (held_up_) go_on();
  take_turn(out_, kBytesAtEnd);
  take_turn(error_, kBytesAtEnd);
}

void ChildOutput::finish(Stream& stream) {
  if (const auto piece = stream.lines.last()) make_lines(stream, *piece);
  stream.pipe.close();
  if (!send()) hold_up();
}

// What is held, and what waits in the pipe; not where all was read that has come.
std::uint64_t ChildOutput::drop_rest(Stream& stream) {
  if (!stream.pipe || (!held_up_ && stream.held.empty())) return 0;
  std::uint64_t lines = lines_in(std::exchange(stream.held, {}));
  char buffer[16U << 10U];
  for (std::size_t read = 0; read < kBytesAtEnd; read += sizeof buffer) {
    const ssize_t got = ::read(stream.pipe.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    lines += lines_in({buffer, static_cast<std::size_t>(got)});
  }
  return lines;
}

void ChildOutput::close() {
  std::uint64_t lost = drop_rest(out_) + drop_rest(error_);
  finish(out_);
  finish(error_);
  lost += lines_in(std::exchange(unsent_, {}));
  if (lost != 0) sink().count_dropped(lost);
  held_up_ = false;
  again_.stop();
  second_.stop();
  report_suppressed();
}

// Both streams wait, because lines are in one order.
void ChildOutput::pause(std::chrono::milliseconds delay) {
  out_.pipe.pause();
  error_.pipe.pause();
  if (held_up_ || budget_.bytes_left()) again_.start(delay);
}

void ChildOutput::hold_up() {
  held_up_ = true;
  patience_ = std::clamp<std::chrono::milliseconds>(2 * patience_, 1ms, kMostPatience);
  pause(patience_);
}

void ChildOutput::go_on() {
  if (!send()) return hold_up();
  held_up_ = false;
  if (!budget_.bytes_left()) return;
  out_.pipe.resume();
  error_.pipe.resume();
  take_turn(out_, kBytesPerTurn);
  take_turn(error_, kBytesPerTurn);
}

// The one-second period begins with the first byte after a pause, so that a quiet child costs no timer.
void ChildOutput::begin_second() {
  if (std::exchange(in_second_, true)) return;
  second_.start(1s);
}

void ChildOutput::end_second() {
  report_suppressed();
  if (!held_up_) again_.start(0ms);
}

void ChildOutput::report_suppressed() {
  in_second_ = false;
  const std::uint64_t suppressed = budget_.renew();
  if (suppressed == 0) return;
  log::Line line(log::Level::warning, place());
  log::add_suppressed(line, budget_.limits().lines, suppressed);
  line.write();
}

}  // namespace bulkhead::process
