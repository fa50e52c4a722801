// The system calls that start, signal and reap the master's children, in one place, so that a test can script all of
// them and needs no fork. All calls except is_child() concern unreaped children of this process, so no pid can have
// been recycled.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "master/process/proc_walk.h"
#include "master/process/spawn.h"
#include "worker/ipc/tcp_look.h"
#include "worker/sys/children.h"
#include "worker/sys/result.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

class ChildSystem {
 public:
  virtual ~ChildSystem() = default;

  // spawn(): how every child of the master starts.
  [[nodiscard]] virtual sys::Result<pid_t> begin(const SpawnRequest& request) { return spawn(request); }
  // kill(2), for the child or for the process group that it leads. False: errno says why.
  virtual bool signal(pid_t child, int signal, bool group) noexcept { return sys::signal_child(child, signal, group); }
  // The same for a signal that asks it to end. SIGCONT follows, because a stopped process would not act on it.
  bool ask_to_end(pid_t child, int signal, bool group) noexcept {
    const bool sent = this->signal(child, signal, group);
    this->signal(child, SIGCONT, group);
    return sent;
  }

  // A child that has ended, and stays a zombie until reap(); 0: none has.
  [[nodiscard]] virtual pid_t some_ended() noexcept;
  [[nodiscard]] virtual bool has_ended(pid_t child) noexcept { return sys::has_ended(child); }
  // The status of a child that has ended, as of wait(2).
  [[nodiscard]] virtual int status_of(pid_t ended_child) noexcept { return sys::status_of(ended_child); }
  // Whether a process lives in the group that this child, which has ended, led: first another child of the master, then
  // any process (proc_walk.h; nothing: not known yet, ask again soon).
  [[nodiscard]] virtual bool has_living_child_in(pid_t leader) noexcept { return process::has_living_child_in(leader); }
  [[nodiscard]] virtual std::optional<bool> scan_group(pid_t leader, GroupScan& scan) noexcept {
    return scan.finds(leader);
  }
  // The next of all children of the master, ended or not.
  [[nodiscard]] virtual std::vector<pid_t> next_children(sys::ChildWalk& walk) noexcept { return walk.next(); }
  // Whether `pid` is a child of this process, alive or not reaped yet. The only call for a pid that another process
  // names.
  [[nodiscard]] virtual bool is_child(pid_t pid) noexcept;
  // The first argument of a child, as ps(1) shows it. Empty: it has ended, or is just executing a program.
  [[nodiscard]] virtual std::string title(pid_t child) noexcept;
  // When it was forked, in clock ticks since the machine began (proc_pid_stat(5)).
  [[nodiscard]] virtual std::optional<std::uint64_t> start_time(pid_t child) noexcept;
  // Whether it has one of these sockets, by their inodes, among its first descriptors. False as well where we may not
  // see them.
  [[nodiscard]] virtual bool holds_any(pid_t child, std::span<const ino_t> sockets) noexcept;
  // The real user of a child, alive or not reaped yet. Nothing: it cannot be seen.
  [[nodiscard]] virtual std::optional<std::uint32_t> real_user(pid_t child) noexcept;
  // The process group of a child, ended or not.
  [[nodiscard]] virtual pid_t group_of(pid_t child) noexcept { return getpgid(child); }
  // What is left of the process group whose leader has been reaped, and SIGKILL for it if it is `due`. It is only ever
  // signalled while children of ours are in it, which hold its number, and all of these are `user`'s, where one is
  // named.
  [[nodiscard]] virtual sys::LeftoverGroup end_left_over(pid_t group, std::optional<std::uint32_t> user,
                                                         bool due) noexcept;
  // The kernel's view of the socket of a connection. The slot's values may be anything.
  [[nodiscard]] virtual ipc::TcpLook look_at(const ipc::Slot& slot) noexcept { return sockets_.look(slot); }
  // sys::end_group().
  [[nodiscard]] virtual std::optional<sys::Ended> reap(pid_t child, bool group) noexcept {
    return sys::end_group(child, group);
  }

 private:
  ipc::TcpDiag sockets_;
};

}  // namespace bulkhead::process
