#include "master/process/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/sys/clock.h"

namespace bulkhead::process {

std::optional<sys::Error> OutputFile::open() {
  // Nonblocking, because opening a FIFO, and writing to it, would wait for its reader (fifo(7)).
  constexpr int kAppend = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK;
  sys::Fd opened(::open(path_.c_str(), kAppend, 0640));
  if (!opened) return sys::Error{"open", path_, errno};
  fd_ = std::move(opened);
  return std::nullopt;
}

std::size_t OutputFile::write(std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(fd_.get(), bytes.data() + done, bytes.size() - done);
    if (written >= 0) {
      done += static_cast<std::size_t>(written);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      tell_lost(bytes.size() - done, errno);
      return bytes.size();
    }
  }
  return done;
}

void OutputFile::tell_lost(std::size_t bytes, int error) {
  lost_ += bytes;
  if (!limit_.allow(sys::monotonic_ns())) return;
  log::Line(log::Level::error, child_)
      .text("cannot write its output to ")
      .text(path_)
      .text(": ")
      .text(strerrordesc_np(error))
      .field("lost_bytes", static_cast<std::int64_t>(std::exchange(lost_, 0)))
      .write();
}

}  // namespace bulkhead::process
