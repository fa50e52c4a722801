#include "master/process/runs_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "worker/sys/fd.h"

namespace bulkhead::process {

namespace {

constexpr std::string_view kMagic = "bulkhead-runs";
constexpr std::string_view kFormat = "1";
constexpr std::size_t kMostBytes = 4U << 20U;

std::string_view cut(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return out;
}

template <class T>
bool number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_group(std::string_view line, bool alone, Runs& runs) {
  GroupRecord one;
  one.alone = alone;
  const bool good = number(cut(line, ' '), one.leader) && number(cut(line, ' '), one.start) &&
                    number(cut(line, ' '), one.patience_ms) && number(cut(line, ' '), one.stop_signal);
  if (!good || one.leader <= 1 || one.stop_signal < 1 || one.stop_signal >= NSIG || line.empty()) return false;
  one.path = line;
  runs.groups.push_back(std::move(one));
  return true;
}

bool read_worker(std::string_view line, Runs& runs) {
  WorkerRecord one;
  if (!number(cut(line, ' '), one.pid) || !number(cut(line, ' '), one.start)) return false;
  if (one.pid <= 1 || line.empty()) return false;
  one.path = line;
  runs.workers.push_back(std::move(one));
  return true;
}

std::optional<sys::Error> failed(const char* operation, const std::string& path) {
  return sys::Error{operation, path, errno};
}

std::string whole(int fd) {
  std::string out;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got <= 0 || out.size() > kMostBytes) return out;
    out.append(part.data(), static_cast<std::size_t>(got));
  }
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Habitat habitat() {
  Habitat out;
  const sys::Fd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (file) out.boot = whole(file.get());
  while (!out.boot.empty() && out.boot.back() == '\n') out.boot.pop_back();
  struct stat status {};
  if (stat("/proc/self/ns/pid", &status) == 0) out.pid_namespace = status.st_ino;
  return out;
}

std::uint64_t ticks_since_boot() noexcept {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  const auto per_second = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  const std::uint64_t ns_per_tick = 1'000'000'000ULL / per_second;
  return static_cast<std::uint64_t>(time.tv_sec) * per_second + static_cast<std::uint64_t>(time.tv_nsec) / ns_per_tick;
}

std::string text_of(const Runs& runs, const Habitat& habitat) {
  std::string out = fmt::format("{} {} {} {} {}\n", kMagic, kFormat, habitat.boot, habitat.pid_namespace, runs.seen);
  for (const GroupRecord& one : runs.groups) {
    out += fmt::format("{} {} {} {} {} {}\n", one.alone ? "leader" : "group", one.leader, one.start, one.patience_ms,
                       one.stop_signal, one.path);
  }
  for (const WorkerRecord& one : runs.workers) out += fmt::format("worker {} {} {}\n", one.pid, one.start, one.path);
  return out;
}

std::optional<Runs> runs_in(std::string_view text, const Habitat& habitat) noexcept {
  if (text.empty() || text.back() != '\n') return std::nullopt;
  Runs out;
  std::string_view head = cut(text, '\n');
  std::uint64_t pid_namespace = 0;
  const bool ours = cut(head, ' ') == kMagic && cut(head, ' ') == kFormat && !habitat.boot.empty() &&
                    cut(head, ' ') == habitat.boot && number(cut(head, ' '), pid_namespace) &&
                    pid_namespace == habitat.pid_namespace && number(head, out.seen);
  if (!ours) return std::nullopt;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    const std::string_view kind = cut(line, ' ');
    const bool alone = kind == "leader";
    const bool good =
        alone || kind == "group" ? read_group(line, alone, out) : kind == "worker" && read_worker(line, out);
    if (!good) return std::nullopt;
  }
  return out;
}

sys::Result<std::optional<Runs>> RunsFile::read() const {
  const sys::Fd file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file) return *failed("open", path_);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return *failed("stat", path_);
  constexpr mode_t kOthers = 077;
  const bool trusted = S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & kOthers) == 0 &&
                       status.st_nlink == 1 && status.st_size <= static_cast<off_t>(kMostBytes);
  if (!trusted) return sys::Error{"use of a file that is not ours alone", path_, EPERM};
  return runs_in(whole(file.get()), habitat());
}

std::optional<sys::Error> RunsFile::write(const Runs& runs) const {
  const std::string fresh = path_ + ".new";
  (void)unlink(fresh.c_str());
  const sys::Fd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed("create", fresh);
  if (fchmod(file.get(), 0600) != 0 || !write_all(file.get(), text_of(runs, habitat()))) {
    auto error = failed("write", fresh);
    (void)unlink(fresh.c_str());
    return error;
  }
  if (rename(fresh.c_str(), path_.c_str()) == 0) return std::nullopt;
  return failed("rename", fresh);
}

void RunsFile::remove() const noexcept {
  if (!path_.empty()) (void)unlink(path_.c_str());
}

}  // namespace bulkhead::process
