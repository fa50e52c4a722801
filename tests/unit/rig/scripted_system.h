// Plays the kernel and all children of the master without a fork: begin() hands out pids that no process can have, so
// that a stray kill(2) reaches no process. A worker's end of its channel is played here, byte for byte as a worker
// would use it; a process becomes ready by what it does to the descriptors that it was given.
#pragma once

#include <sys/types.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "master/process/child_system.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/table_layout.h"
#include "worker/sys/fd.h"

namespace bulkhead::rig {

// The behaviour of a child after its start.
enum class Conduct {
  serves,     // becomes ready, and ends when it is asked to
  is_silent,  // neither: until the test has it say something
  dies,       // ends with status 1 before it is ready
  no_fork     // begin() fails with EAGAIN
};

struct ScriptedChild {
  std::string path;  // of the tree
  pid_t pid = 0;
  process::SpawnRequest request;
  bool is_worker = false;
  bool obeys = true;  // ends when it is asked to, answers its messages
  sys::Fd channel;    // a worker's end
  sys::Fd table;      // and its connection table
  ipc::TableRoom room;
  sys::Fd report;                  // a process's: closed by exec
  sys::Fd notify;                  // a process's descriptor 3
  std::vector<std::string> heard;  // "drain", "signal 15"
  std::vector<std::string> signals;
  bool is_alone = false;  // a worker whose master has closed the channel; it stays, as one with connections does
  bool has_ended = false;
  int wait_status = 0;

  template <ipc::Message T>
  void say(const T& message) const {
    (void)ipc::send(channel.get(), message);
  }
};

[[nodiscard]] constexpr int exited(int status) noexcept {
  return status << 8;
}
[[nodiscard]] constexpr int killed_by(int signal) noexcept {
  return signal;
}

class ScriptedSystem final : public process::ChildSystem {
 public:
  static constexpr pid_t kFirstPid = 5'000'001;  // above pid_max
  static constexpr std::uint32_t kNobody = 65'534;

  // From now on children started at `path` behave so. The others serve.
  void conduct(const std::string& path, Conduct conduct) { conducts_[path] = conduct; }
  // begin() is about to be called for it.
  void announce(const std::string& path) { path_ = path; }
  // The latest child that was started there and has not been reaped.
  [[nodiscard]] ScriptedChild& at(const std::string& path);
  [[nodiscard]] bool has(const std::string& path) const;
  [[nodiscard]] std::size_t started(const std::string& path) const;

  void end(ScriptedChild& child, int wait_status);
  // Some process that the tree does not know: a stranger, or a connection without a worker.
  void end_unknown(pid_t pid, int wait_status);
  void be_connection(pid_t pid) { connections_.insert(pid); }
  // A process that some worker has left behind, as a child of the master; it ends when it is killed. `heir` becomes a
  // child of the master when it ends.
  struct Stray {
    std::string title;
    std::uint64_t began = 0;
    std::set<ino_t> sockets{};
    pid_t heir = 0;
    bool is_hidden = false;  // still another's child
  };
  void leave_behind(pid_t pid, const Stray& stray) { strays_[pid] = stray; }
  // The process at `path` has a companion in its group, which stays when it ends: until the group is killed, or, if it
  // obeys, asked. One that is no child of the master is found by a scan only.
  enum class Companion { obeys, is_deaf, is_deaf_and_no_child };
  void accompany(const std::string& path, Companion companion) { companions_[at(path).pid] = companion; }
  [[nodiscard]] bool is_accompanied(pid_t leader) const { return companions_.contains(leader); }
  void be_of_user(pid_t pid, std::uint32_t user) { users_[pid] = user; }

  // Every child reads its messages and answers. True: some child did something.
  bool play();

  // The deeds of the master, in order: "start root/db", "SIGTERM root/db", "reap root/db". Children that are unknown go
  // by their pids.
  [[nodiscard]] const std::vector<std::string>& deeds() const noexcept { return deeds_; }
  [[nodiscard]] std::vector<std::string> take_deeds() { return std::exchange(deeds_, {}); }

  sys::Result<pid_t> begin(const process::SpawnRequest& request) override;
  bool signal(pid_t child, int signal, bool group) noexcept override;
  pid_t some_ended() noexcept override { return ended_.empty() ? 0 : ended_.front(); }
  bool has_ended(pid_t child) noexcept override;
  bool is_child(pid_t child) noexcept override;
  // Of a connection: nobody, as its listener's workers, unless the test says otherwise.
  std::optional<std::uint32_t> real_user(pid_t child) noexcept override {
    const auto found = users_.find(child);
    return found == users_.end() ? kNobody : found->second;
  }
  std::optional<sys::Ended> reap(pid_t child, bool group) noexcept override;
  int status_of(pid_t child) noexcept override;
  bool has_living_child_in(pid_t leader) noexcept override;
  std::optional<bool> scan_group(pid_t leader, process::GroupScan& scan) noexcept override;
  std::string title(pid_t child) noexcept override;
  std::optional<std::uint64_t> start_time(pid_t child) noexcept override;
  bool holds_any(pid_t child, std::span<const ino_t> sockets) noexcept override;
  std::vector<pid_t> next_children(sys::ChildWalk& walk) noexcept override;

 private:
  [[nodiscard]] ScriptedChild* find(pid_t pid) noexcept;
  [[nodiscard]] std::string name_of(pid_t pid) noexcept;
  [[nodiscard]] bool is_visible_stray(pid_t pid) const;
  bool signal_stray(pid_t pid, int signal);
  void hear(ScriptedChild& child, const ipc::Down& message);

  std::map<std::string, Conduct> conducts_;
  std::string path_;
  pid_t next_pid_ = kFirstPid;
  std::vector<std::unique_ptr<ScriptedChild>> children_;
  std::vector<std::string> starts_;
  std::deque<pid_t> ended_;  // zombies, the first to end in front
  std::map<pid_t, int> unknown_;
  std::set<pid_t> connections_;
  std::map<pid_t, Companion> companions_;  // by leader
  std::map<pid_t, std::uint32_t> users_;
  std::map<pid_t, Stray> strays_;
  std::vector<std::string> deeds_;
};

}  // namespace bulkhead::rig
