#include "master/config/file_head.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <limits>

#include "master/config/program_kind.h"

namespace bulkhead::config {

std::string by_descriptor(int file) {
  return fmt::format("/proc/self/fd/{}", file);
}

sys::Fd open_to_read(const std::string& path) {
  return sys::Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

std::optional<std::string> bytes_at(const sys::Fd& file, std::uint64_t offset, std::size_t size) {
  if (!file || offset > std::uint64_t{std::numeric_limits<off_t>::max()} - size) return std::nullopt;
  std::string out(size, '\0');
  const ssize_t got = pread(file.get(), out.data(), out.size(), static_cast<off_t>(offset));
  if (got < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(got));
  return out;
}

std::optional<std::string> head_of(const std::string& path) {
  return bytes_at(open_to_read(path), 0, kProgramHead);
}

}  // namespace bulkhead::config
