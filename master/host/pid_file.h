// The pid file, which also proves that only one instance runs: the lock on the file counts, its content is only for
// information. The lock is that of flock(2), on an open file description that no descendant keeps (it is close-on-exec,
// and forked children always execute a program or exit), so it ends with the master whatever its children do.
//
// The file is created under another name, locked and filled, and then linked or renamed to its path, so that a reader
// finds the pid of a living master and never an empty file. The master that created it removes it, if it is still the
// same file.
#pragma once

#include <sys/types.h>

#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::host {

class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&& other) noexcept = default;
  PidFile& operator=(PidFile&& other) noexcept = default;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile();

  // EWOULDBLOCK: another instance holds the lock; the subject names its pid. EPERM: the file could come from another
  // user (a link, a second name, another owner, or a directory that others may write to without the sticky bit) and is
  // refused.
  [[nodiscard]] static sys::Result<PidFile> take(const std::string& path);

  // For the program that continues in the same process: takes over the file, with its lock, through this descriptor.
  [[nodiscard]] static PidFile resume(const std::string& path, sys::Fd file);
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int fd() const noexcept { return file_.get(); }

 private:
  std::string path_;
  sys::Fd file_;
  pid_t owner_ = 0;
};

}  // namespace bulkhead::host
