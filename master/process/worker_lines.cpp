#include "master/process/worker_lines.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "worker/log/suppressed.h"
#include "worker/log/utf8.h"
#include "worker/sys/clock.h"

namespace bulkhead::process {

namespace {

constexpr std::size_t kAtEnd = 1U << 20U;  // about what the socket holds
constexpr int kRoom = 1 << 20;             // bytes; several thousand lines for a master that is busy
constexpr std::string_view kTextProgram = " bulkhead-worker[";
constexpr std::string_view kJsonProgram = ",\"program\":\"bulkhead-worker\",";
constexpr std::size_t kTimeLength = 24;  // 2026-11-22T15:07:37.123Z

// What no line may have becomes "?", byte by byte.
void append_shown(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t shown = log::shown_length(bytes);
    out += shown == 0 ? "?" : bytes.substr(0, shown);
    bytes.remove_prefix(std::max<std::size_t>(shown, 1));
  }
}

bool is_time(std::string_view text) noexcept {
  static constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  return text.size() == kForm.size() && std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == '0' ? c >= '0' && c <= '9' : c == form;
         });
}

}  // namespace

bool is_worker_line(std::string_view line) noexcept {
  static constexpr std::string_view kJson = "{\"time\":\"";
  if (!line.starts_with(kJson))
    return is_time(line.substr(0, kTimeLength)) && line.substr(kTimeLength).starts_with(kTextProgram);
  line.remove_prefix(kJson.size());
  if (!is_time(line.substr(0, kTimeLength)) || !line.ends_with('}')) return false;
  const std::string_view head = line.substr(kTimeLength);
  return std::any_of(log::kLevelWords.begin(), log::kLevelWords.end(), [head](std::string_view level) {
    static constexpr std::string_view kLevel = "\",\"level\":\"";
    return head.starts_with(kLevel) && head.substr(kLevel.size()).starts_with(level) &&
           head.substr(kLevel.size() + level.size()).starts_with('"') &&
           head.substr(kLevel.size() + level.size() + 1).starts_with(kJsonProgram);
  });
}

WorkerLines::WorkerLines(loop::Loop& loop, std::string path, std::shared_ptr<NodeLog> log)
    : loop_(loop), path_(std::move(path)), log_(std::move(log)), pause_(loop, [this] { socket_.resume(); }) {
  batch_.reserve(log::kMaxLine);
}

WorkerLines::~WorkerLines() {
  read_rest();
  end();
}

sys::Result<sys::Fd> WorkerLines::open() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return sys::Error{"socketpair", "log of a worker", errno};
  }
  sys::Fd theirs(ends[1]);
  watch(sys::Fd(ends[0]));
  (void)shutdown(ends[0], SHUT_WR);
  if (setsockopt(ends[1], SOL_SOCKET, SO_SNDBUFFORCE, &kRoom, sizeof kRoom) != 0) {
    (void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom);  // as much as everybody may have
  }
  return theirs;
}

void WorkerLines::watch(sys::Fd fd) {
  socket_ = WatchedFd(loop_, std::move(fd), [this] { on_readable(); });
}

void WorkerLines::on_readable() {
  read_some(kTurn);
  if (!socket_) return;
  socket_.pause();
  pause_.start(kPause);
}

void WorkerLines::read_rest() {
  if (socket_) read_some(kAtEnd);
}

void WorkerLines::read_some(std::size_t limit) {
  char buffer[16U << 10U];
  while (limit > 0) {
    // MSG_DONTWAIT: nobody else has our description, but the price of trusting in that would be a master that hangs.
    const ssize_t got = ::recv(socket_.get(), buffer, std::min(limit, sizeof buffer), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) return end();
    const auto count = static_cast<std::size_t>(got);
    splitter_.feed({buffer, count}, [this](std::string_view line, bool cut) { on_line(line, cut); });
    limit -= count;
  }
  flush();
}

void WorkerLines::end() {
  splitter_.finish([this](std::string_view line, bool cut) { on_line(line, cut); });
  flush();
  pause_.stop();
  socket_.close();
}

void WorkerLines::on_line(std::string_view line, bool cut) {
  if (cut || !sink().is_stream() || !is_worker_line(line)) return on_text(line, cut);
  if (batch_.size() + line.size() + 1 > log::kMaxLine) flush();
  const std::size_t begin = batch_.size();
  append_shown(batch_, line);
  log::keep(path_, std::string_view(batch_).substr(begin));
  batch_ += '\n';
  ++lines_;
}

void WorkerLines::on_text(std::string_view line, bool cut) {
  flush();
  renew_budget();
  if (!budget_.take_line()) return;
  log::Line(log::Level::warning, place()).text(line).text(cut ? "..." : "").field("stream", "stderr").write();
}

void WorkerLines::renew_budget() {
  const std::uint64_t suppressed = budget_.renew_each_second(sys::monotonic_ns());
  if (suppressed == 0) return;
  log::Line line(log::Level::warning, place());
  log::add_suppressed(line, budget_.limits().lines, suppressed);
  line.write();
}

void WorkerLines::flush() {
  if (lines_ == 0) return;
  sink().pass_on(batch_, std::exchange(lines_, 0));
  batch_.clear();
}

}  // namespace bulkhead::process
