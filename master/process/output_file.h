// A file of its own for what a process writes. The master reads the pipe and writes the file, byte for byte: with a
// descriptor of the file the process could truncate it, and would keep the old file after a rotation. So a file is
// opened anew while its process runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class OutputFile {
 public:
  // `child` is the path of the process, for messages. A new file gets mode 0640 and the daemon's owner; a symbolic link
  // is not followed; what is there is appended to.
  OutputFile(std::string child, std::string path) : child_(std::move(child)), path_(std::move(path)) {}

  // Also once more, after a rotation. On an error, what was open stays open.
  [[nodiscard]] std::optional<sys::Error> open();
  // Returns how many bytes are done with. Fewer than all: the file, a FIFO, takes no more now. What cannot be written,
  // because the disk is full or nobody reads, is done with: it is dropped, and the log says how much.
  [[nodiscard]] std::size_t write(std::string_view bytes);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // For another program to continue with, and the continuation there.
  [[nodiscard]] int get() const noexcept { return fd_.get(); }
  void resume(int fd) noexcept { fd_.reset(fd); }

 private:
  void tell_lost(std::size_t bytes, int error);

  std::string child_;
  std::string path_;
  sys::Fd fd_;
  log::RateLimit limit_;
  std::uint64_t lost_ = 0;  // bytes, since they were last reported
};

}  // namespace bulkhead::process
