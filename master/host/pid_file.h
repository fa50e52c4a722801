// The pid file, and with it the proof that there is only one of us: the lock on the file counts, its content only
// informs. The lock is flock(2)'s, on a description that no descendant keeps (close-on-exec; nothing of the master's
// runs on in a forked child), so that it ends with the master whatever its children do.
//
// The file is made under another name and linked or renamed into place, locked and filled: whoever reads it finds the
// pid of a living master, never an empty file. It is removed by the master that made it, and only if it is still there.
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

  // EWOULDBLOCK: another instance holds it, the subject says which. A file that somebody else could have put there (a
  // link, a second name, another owner, a directory that others may write to without the sticky bit) is refused: EPERM.
  [[nodiscard]] static sys::Result<PidFile> take(const std::string& path);

  // The same process goes on as another program: its file, with the lock, from this descriptor.
  [[nodiscard]] static PidFile resume(const std::string& path, sys::Fd file);
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  // Another program goes on with it: it is not ours to remove any more.
  void disown() noexcept { owner_ = 0; }

 private:
  std::string path_;
  sys::Fd file_;
  pid_t owner_ = 0;
};

}  // namespace bulkhead::host
