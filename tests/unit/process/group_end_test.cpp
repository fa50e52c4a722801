#include "master/process/group_end.h"

#include <catch2/catch.hpp>

namespace bulkhead::process::testing {

namespace {

using namespace std::chrono_literals;
using config::KillMode;
using supervision::Instant;
using supervision::Shutdown;
using Action = GroupEnd::Action;

constexpr Shutdown kFive{Shutdown::Kind::timeout, 5s};
constexpr Shutdown kInfinite{Shutdown::Kind::infinity, {}};
constexpr Shutdown kBrutal{Shutdown::Kind::brutal_kill, {}};

Instant at(std::chrono::milliseconds time) {
  return Instant(time);
}

TEST_CASE("processes left by a leader that exits by itself get TERM, and KILL after shutdown") {
  GroupEnd group;
  CHECK(group.leader_ended({KillMode::group, kFive}, at(1s)) == Action::ask);
  CHECK(group.next_deadline() == at(6s));
  CHECK(group.look(true, at(5999ms)) == Action::none);
  CHECK(group.look(true, at(6s)) == Action::kill);
  CHECK(group.look(true, at(6s)) == Action::none);
  CHECK(group.look(false, at(6100ms)) == Action::over);
}

TEST_CASE("the deadline counts from the first signal, and nobody is asked twice") {
  GroupEnd group;
  group.asked({KillMode::group, kFive}, at(1s));
  group.asked({KillMode::group, kFive}, at(2s));
  CHECK_FALSE(group.next_deadline());  // the leader's is the tree's
  CHECK(group.leader_ended({KillMode::group, kFive}, at(4s)) == Action::none);
  CHECK(group.next_deadline() == at(6s));
  CHECK(group.look(true, at(6s)) == Action::kill);
}

TEST_CASE("a group that ends in time is neither killed nor waited for") {
  GroupEnd group;
  (void)group.leader_ended({KillMode::group, kFive}, at(1s));
  CHECK(group.look(false, at(1s)) == Action::over);
}

TEST_CASE("an infinite shutdown is the leader's; what it leaves has five seconds from its end") {
  GroupEnd group;
  group.asked({KillMode::group, kInfinite}, at(1s));
  CHECK(group.leader_ended({KillMode::group, kInfinite}, at(100s)) == Action::none);
  CHECK(group.look(true, at(104s)) == Action::none);
  CHECK(group.look(true, at(105s)) == Action::kill);
}

TEST_CASE("mixed and a brutal shutdown kill what is left at once") {
  for (const GroupEnd::Terms terms : {GroupEnd::Terms{KillMode::mixed, kInfinite}, {KillMode::group, kBrutal}}) {
    GroupEnd group;
    group.asked(terms, at(1s));
    CHECK(group.leader_ended(terms, at(2s)) == Action::kill);
    CHECK(group.look(true, at(2s)) == Action::none);
    CHECK(group.look(false, at(2s)) == Action::over);
  }
}

TEST_CASE("a process alone is over when it has ended") {
  GroupEnd group;
  CHECK(group.leader_ended({KillMode::process, kFive}, at(1s)) == Action::none);
  CHECK(group.look(false, at(1s)) == Action::over);
}

TEST_CASE("a group that was killed with its leader is not killed again") {
  GroupEnd group;
  group.killed(at(1s));
  CHECK(group.leader_ended({KillMode::group, kFive}, at(1s)) == Action::none);
  CHECK(group.look(true, at(2s)) == Action::none);
  CHECK(group.look(false, at(2s)) == Action::over);
}

TEST_CASE("what even SIGKILL does not end is given up") {
  GroupEnd group;
  group.killed(at(1s));
  (void)group.leader_ended({KillMode::group, kFive}, at(1s));
  CHECK(group.next_deadline() == at(6s));
  CHECK(group.look(true, at(5999ms)) == Action::none);
  CHECK(group.look(true, at(6s)) == Action::give_up);
}

TEST_CASE("another program continues with the same deadline") {
  GroupEnd before;
  (void)before.leader_ended({KillMode::group, kFive}, at(1s));
  GroupEnd after;
  after.resume(before.hand_over());
  CHECK(after.has_leader_ended());
  CHECK(after.look(true, at(5999ms)) == Action::none);
  CHECK(after.look(true, at(6s)) == Action::kill);
}

}  // namespace

}  // namespace bulkhead::process::testing
