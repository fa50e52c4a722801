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

constexpr std::size_t kBytesPerTurn = 64U << 10U;
constexpr std::size_t kBytesAtEnd = 256U << 10U;  // more than a pipe holds (pipe(7))

}  // namespace

ChildOutput::ChildOutput(loop::Loop& loop, std::string path, log::OutputBudget::Limits limits)
    : loop_(loop), path_(std::move(path)), budget_(limits), second_(loop, [this] { end_second(); }) {}

sys::Result<ChildOutput::ChildEnds> ChildOutput::open(bool with_error) {
  auto out = open(out_);
  if (!out) return out.error();
  if (!with_error) return ChildEnds{std::move(*out), {}};
  auto error = open(error_);
  if (!error) return error.error();
  return ChildEnds{std::move(*out), std::move(*error)};
}

sys::Result<sys::Fd> ChildOutput::open(Stream& stream) {
  int ends[2];
  // Only the master's end becomes nonblocking, by the watch on it: programs do not expect a nonblocking stdout.
  if (pipe2(ends, O_CLOEXEC) != 0) return sys::Error{"pipe", stream.name, errno};
  sys::Fd write(ends[1]);
  auto read = WatchedFd::attempt(loop_, sys::Fd(ends[0]), [this, &stream] { on_readable(stream); });
  if (!read) return read.error();
  stream.pipe = std::move(*read);
  return write;
}

void ChildOutput::on_readable(Stream& stream) {
  begin_second();
  if (read_some(stream, kBytesPerTurn) == Left::end) return finish(stream);
  if (budget_.bytes_left()) return;
  out_.pipe.pause();
  error_.pipe.pause();
}

ChildOutput::Left ChildOutput::read_some(Stream& stream, std::size_t limit) {
  char buffer[16U << 10U];
  while (limit > 0) {
    const ssize_t got = ::read(stream.pipe.get(), buffer, std::min(limit, sizeof buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Left::nothing;
    if (got <= 0) return Left::end;
    const auto count = static_cast<std::size_t>(got);
    budget_.take_bytes(count);
    stream.lines.feed({buffer, count}, [&](std::string_view line, bool cut) { log_line(stream, line, cut); });
    limit -= count;
  }
  return Left::more;
}

void ChildOutput::read_rest() {
  for (Stream* stream : {&out_, &error_}) {
    if (!stream->pipe) continue;
    begin_second();
    if (read_some(*stream, kBytesAtEnd) == Left::end) finish(*stream);
  }
}

void ChildOutput::finish(Stream& stream) {
  stream.lines.finish([&](std::string_view line, bool cut) { log_line(stream, line, cut); });
  stream.pipe.close();
}

void ChildOutput::close() {
  finish(out_);
  finish(error_);
  second_.stop();
  end_second();
}

void ChildOutput::log_line(const Stream& stream, std::string_view line, bool cut) {
  if (!budget_.take_line()) return;
  log::Line(log::Level::info, path_).text(line).text(cut ? "..." : "").field("stream", stream.name).write();
}

// The one-second period begins with the first byte after a pause, so that a quiet child costs no timer.
void ChildOutput::begin_second() {
  if (std::exchange(in_second_, true)) return;
  second_.start(std::chrono::seconds(1));
}

void ChildOutput::end_second() {
  in_second_ = false;
  const std::uint64_t suppressed = budget_.renew();
  out_.pipe.resume();
  error_.pipe.resume();
  if (suppressed == 0) return;
  log::Line line(log::Level::warning, path_);
  log::add_suppressed(line, budget_.limits().lines, suppressed);
  line.write();
}

}  // namespace bulkhead::process
