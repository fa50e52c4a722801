#include "master/process/former_runs.h"

#include <catch2/catch.hpp>

namespace bulkhead::process::testing {

namespace {

constexpr std::uint64_t kSeen = 1000;
const GroupRecord kGroup{500, 100, 5000, 15, "root/db", false};

ProcessFacts member(pid_t pid, std::uint64_t start, pid_t session = 500) {
  return {pid, 1, 500, session, start, true};
}

TEST_CASE("a line of /proc/PID/stat is read, whatever the name of the process") {
  const auto facts = facts_in("812 (a) b) (c) S 1 800 799 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9");
  REQUIRE(facts);
  CHECK(facts->pid == 812);
  CHECK(facts->parent == 1);
  CHECK(facts->group == 800);
  CHECK(facts->session == 799);
  CHECK(facts->start == 123456);
  CHECK(facts->lives);
  CHECK_FALSE(facts_in("812 (a) Z 1 8 8 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 12 9")->lives);
  CHECK(facts_in("812 (a) Z 1 8 8 0 -1 4 1 2 3 4 5 6 7 8 20 0 3 0 12 9")->lives);
  for (const char* text : {"", "812", "812 (a)", "812 (a) ", "812 (a) S", "x (a) S 1 2 3", "812 (a) S 1 2 3 4 5"}) {
    CHECK_FALSE(facts_in(text));
  }
}

TEST_CASE("a group is the recorded one if its leader is") {
  const auto members = members_of(kGroup, kSeen, {member(500, 100), member(501, 2000, 501), {9, 1, 9, 9, 5, true}});
  REQUIRE(members);
  CHECK(members->size() == 2);
}

TEST_CASE("without its leader, a group is recognised by a member of the same session that is older than the file") {
  CHECK(members_of(kGroup, kSeen, {member(501, 150), member(502, 5000)})->size() == 2);
  CHECK_FALSE(members_of(kGroup, kSeen, {member(501, 1000)}));      // after it
  CHECK_FALSE(members_of(kGroup, kSeen, {member(501, 150, 499)}));  // of another session
  CHECK_FALSE(members_of(kGroup, kSeen, {member(501, 99)}));        // older than its leader
}

TEST_CASE("a reused process id matches no group") {
  CHECK(members_of(kGroup, kSeen, {member(500, 101), member(501, 150)})->empty());
  CHECK(members_of(kGroup, kSeen, {})->empty());
}

TEST_CASE("zombies are no members, but the leader's vouches for its group") {
  ProcessFacts leader = member(500, 100);
  leader.lives = false;
  CHECK(members_of(kGroup, kSeen, {leader})->empty());
  CHECK(members_of(kGroup, kSeen, {leader, member(501, 5000)})->size() == 1);
}

TEST_CASE("of a process alone, only the leader counts") {
  GroupRecord alone = kGroup;
  alone.alone = true;
  CHECK(members_of(alone, kSeen, {member(500, 100), member(501, 150)})->size() == 1);
  CHECK(members_of(alone, kSeen, {member(501, 150)})->empty());
}

TEST_CASE("the connections of the previous daemon are the children of its workers") {
  const std::vector<ProcessFacts> all{{10, 1, 10, 10, 5, true}, {11, 10, 11, 11, 6, true}, {12, 10, 12, 12, 6, false},
                                      {13, 1, 13, 13, 7, true}, {20, 1, 20, 20, 9, true},  {21, 20, 21, 21, 9, true}};
  const FormerConnections found = connections_of({{10, 5, "root/echo/1"}, {20, 8, "root/echo/2"}}, all);
  CHECK(found.workers == 1);
  CHECK(found.connections == 1);
}

TEST_CASE("what is written is read again, in the same boot and pid namespace only") {
  const Habitat here{"8e0f-boot", 77};
  Runs runs;
  runs.seen = kSeen;
  runs.groups = {kGroup, {600, 1, 0, 9, "root/a b", true}};
  runs.workers = {{10, 5, "root/echo/1"}};
  const std::string text = text_of(runs, here);
  const auto again = runs_in(text, here);
  REQUIRE(again);
  CHECK(again->seen == kSeen);
  CHECK(again->groups == runs.groups);
  CHECK(again->workers == runs.workers);
  CHECK_FALSE(runs_in(text, {"another", 77}));
  CHECK_FALSE(runs_in(text, {"8e0f-boot", 78}));
  CHECK_FALSE(runs_in(text, {"", 77}));
}

TEST_CASE("a text with any fault is not believed at all") {
  const Habitat here{"b", 7};
  const std::string head = "bulkhead-runs 1 b 7 10\n";
  CHECK(runs_in(head, here));
  for (const char* line : {"group 1 2 3 4 root/a\n", "group -5 2 3 4 root/a\n", "group 0 2 3 4 root/a\n",
                           "group 9 2 3 0 root/a\n", "group 9 2 3 65 root/a\n", "group 9 2 3 4 \n", "group 9 2 3 4\n",
                           "group 9 x 3 4 root/a\n", "group 9 2 3 4 root/a", "group 99999999999 2 3 4 root/a\n",
                           "worker 1 2 root/a\n", "worker 9 2\n", "other 9 2 3 4 root/a\n", "\n"}) {
    INFO(line);
    CHECK_FALSE(runs_in(head + line, here));
  }
  for (std::size_t size = 0; size < head.size(); ++size) CHECK_FALSE(runs_in(head.substr(0, size), here));
}

}  // namespace

}  // namespace bulkhead::process::testing
