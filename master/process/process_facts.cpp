#include "master/process/process_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "worker/sys/fd.h"

namespace bulkhead::process {

namespace {

template <class T>
bool next_number(std::string_view& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty()) text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<ProcessFacts> facts_in(std::string_view stat) noexcept {
  ProcessFacts out;
  const std::size_t name_end = stat.rfind(") ");  // a name may have anything in it
  if (name_end == std::string_view::npos || name_end + 4 > stat.size()) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 2);
  if (!next_number(stat, out.pid)) return std::nullopt;
  const char state = rest.front();
  rest.remove_prefix(2);
  if (!next_number(rest, out.parent) || !next_number(rest, out.group) || !next_number(rest, out.session)) {
    return std::nullopt;
  }
  std::int64_t ignored = 0;
  std::int64_t threads = 0;
  for (int field = 7; field < 20; ++field) {
    if (!next_number(rest, ignored)) return std::nullopt;
  }
  if (!next_number(rest, threads) || !next_number(rest, ignored) || !next_number(rest, out.start)) return std::nullopt;
  // Where only the first thread has ended, the others go on.
  out.lives = (state != 'Z' && state != 'X') || threads > 1;
  return out;
}

std::optional<ProcessFacts> facts_of(pid_t pid) noexcept {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const sys::Fd file(open(path.data(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : 0;
  return got <= 0 ? std::nullopt : facts_in({text.data(), static_cast<std::size_t>(got)});
}

std::vector<ProcessFacts> all_processes() {
  std::vector<ProcessFacts> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (const auto facts = facts_of(std::atoi(entry->d_name))) out.push_back(*facts);
  }
  return out;
}

}  // namespace bulkhead::process
