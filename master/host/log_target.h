// The target of log lines: opening it, and reopening it after a rotation.
#pragma once

#include <string>

#include "master/config/config.h"
#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::host {

// Two open file descriptions of the same target; no other process gets either. `lines` is nonblocking: an inherited
// stderr is reopened through /proc/self/fd (proc(5)), because O_NONBLOCK on a shared description would surprise the
// other processes that use it. `handlers` is the one that open_again() opens once more for each child.
struct LogTarget {
  sys::Fd lines;
  // /dev/null if the log is a socket of a log daemon, because the output of programs does not follow its protocol.
  sys::Fd handlers;
};

// The same file with a description of its own, which appends and is blocking, as programs expect. Nothing for what
// cannot be opened twice: a socket, another user's pipe. Does not block, even for a FIFO that nobody reads.
[[nodiscard]] sys::Fd open_again(int fd);
// A socket of its own to "syslog" or "journald".
[[nodiscard]] sys::Result<sys::Fd> connect_to_log_daemon(const std::string& target);

// Whether this descriptor is the stream to systemd's journal that `journal_stream`, the value of JOURNAL_STREAM, names
// by device and inode (systemd.exec(5)). A null pointer: no.
[[nodiscard]] bool is_journal_stream(int fd, const char* journal_stream);

[[nodiscard]] log::Transport transport_of(const std::string& target);

// How lines to `fd` look. `config` must outlive what is logged with it, because its identity is not copied.
[[nodiscard]] log::Settings log_settings(const config::Log& config, int fd);
// From now on this process writes its lines to `fd`, in the configured format. Call it once.
void configure_log(const config::Log& config, int fd);

// `target` is "stderr", "syslog", "journald" or a path. A new file gets mode 0640; a symbolic link is not followed. The
// sockets are those of syslog(3) and of systemd's journal. Where stderr is a plain file, its inherited description
// appends from now on (O_APPEND), so that the processes that share it do not overwrite what we append.
[[nodiscard]] sys::Result<LogTarget> open_log_target(const std::string& target);

}  // namespace bulkhead::host
