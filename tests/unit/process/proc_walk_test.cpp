// Against the real /proc, with processes that a test can afford.
#include "master/process/proc_walk.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "worker/sys/children.h"

namespace bulkhead::process::testing {

namespace {

// A group whose leader is a zombie child of ours when this returns, and what the leader did before it ended.
pid_t leader_that(void (*deed)()) {
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    deed();
    _exit(0);
  }
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  return pid;
}

void end(pid_t group) {
  kill(-group, SIGKILL);
  while (waitpid(-group, nullptr, 0) > 0) {
  }
}

bool finds(pid_t leader) {
  GroupScan scan;
  for (;;) {
    if (const auto found = scan.finds(leader)) return *found;
  }
}

TEST_CASE("a zombie alone is no life in its group") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t leader = leader_that([] {});
  CHECK_FALSE(has_living_child_in(leader));
  CHECK_FALSE(finds(leader));
  end(leader);
}

TEST_CASE("an orphan in the group is a child of ours") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t leader = leader_that([] {
    if (fork() == 0) pause();
  });
  CHECK(has_living_child_in(leader));
  CHECK(finds(leader));
  kill(-leader, SIGKILL);
  siginfo_t info{};
  sys::ChildWalk walk;
  const std::vector<pid_t> children = walk.next();
  CHECK(walk.at_end());
  CHECK(children.size() == 2);
  CHECK(std::ranges::count(children, leader) == 1);
  for (const pid_t child : children) waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  CHECK_FALSE(has_living_child_in(leader));
  CHECK_FALSE(finds(leader));
  end(leader);
}

TEST_CASE("one whose parent has left the group is found by a scan only") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t leader = leader_that([] {
    int ready[2];
    if (pipe(ready) != 0 || fork() != 0) {
      char byte;
      close(ready[1]);
      (void)!read(ready[0], &byte, 1);
      return;
    }
    if (fork() == 0) {
      close(ready[1]);
      pause();
    }
    setpgid(0, 0);
    close(ready[1]);
    pause();
  });
  CHECK_FALSE(has_living_child_in(leader));
  CHECK(finds(leader));
  sys::ChildWalk walk;
  for (const pid_t child : walk.next()) {
    if (child != leader) kill(child, SIGKILL);
  }
  end(leader);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
}

}  // namespace

}  // namespace bulkhead::process::testing
