#include "master/reload/steps.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "worker/loop/loop.h"

namespace bulkhead::reload {
namespace {

using procedure::Done;
using procedure::Outcome;
using procedure::refused;
using Words = std::vector<std::string>;

struct Fixture {
  loop::Loop loop;
  running::Later later{loop};
  Steps steps{later};
  Words trace;
  std::optional<Steps::End> end;
  Done kept;  // of the action that answers when the test says so

  Steps::Action does(const std::string& name, const Outcome& outcome = {}) {
    return [this, name, outcome](const Done& done) {
      trace.push_back(name);
      done(outcome);
    };
  }
  Steps::Action waits(const std::string& name) {
    return [this, name](const Done& done) {
      trace.push_back(name);
      kept = done;
    };
  }
  void trial(const std::string& name, const Outcome& outcome = {}) {
    steps.trial(does(name, outcome), does("undo " + name));
  }
  void settle() {
    while (!later.is_empty()) later.turn();
  }
  void run() {
    steps.run([this](Steps::End how) {
      trace.emplace_back("over");
      end = std::move(how);
    });
    settle();
  }
};

TEST_CASE("steps happen in the order in which they were added") {
  Fixture f;
  f.trial("a");
  f.trial("b");
  f.steps.then(f.does("c"));
  f.run();
  CHECK(f.trace == Words{"a", "b", "c", "over"});
  CHECK_FALSE(f.end->undone);
  CHECK(f.end->problems.empty());
}

TEST_CASE("a sequence without steps is done at once") {
  Fixture f;
  f.run();
  CHECK(f.trace == Words{"over"});
}

TEST_CASE("a failed trial undoes the steps before it, the latest first, and no step follows") {
  Fixture f;
  f.trial("a");
  f.trial("b");
  f.trial("c", refused("c failed"));
  f.trial("d");
  f.steps.then(f.does("e"));
  f.run();
  CHECK(f.trace == Words{"a", "b", "c", "undo b", "undo a", "over"});
  CHECK(f.end->undone);
  CHECK(f.end->problems == Words{"c failed"});
}

TEST_CASE("problems are listed in order: the failed trial, notes, failures while undoing") {
  Fixture f;
  f.steps.trial(f.does("a"), f.does("undo a", refused("a stays")));
  f.steps.trial(f.does("b"), f.does("undo b", refused("b stays")));
  f.steps.trial(
      [&f](const Done& done) {
        f.steps.note("noted");
        done(refused("c failed"));
      },
      f.does("undo c"));
  f.run();
  CHECK(f.trace == Words{"a", "b", "undo b", "undo a", "over"});
  CHECK(f.end->problems == Words{"c failed", "noted", "b stays", "a stays"});
}

TEST_CASE("failures in later steps are collected, and the rest is carried out") {
  Fixture f;
  f.trial("a");
  f.steps.then(f.does("b", refused("b failed")));
  f.steps.then(f.does("c"));
  f.steps.then(f.does("d", refused("d failed")));
  f.run();
  CHECK(f.trace == Words{"a", "b", "c", "d", "over"});
  CHECK_FALSE(f.end->undone);
  CHECK(f.end->problems == Words{"b failed", "d failed"});
}

TEST_CASE("the next step waits until a action has answered") {
  Fixture f;
  f.steps.trial(f.waits("a"), f.does("undo a"));
  f.trial("b");
  f.run();
  CHECK(f.trace == Words{"a"});
  f.kept({});
  f.settle();
  CHECK(f.trace == Words{"a", "b", "over"});
}

TEST_CASE("undoing waits for each answer too") {
  Fixture f;
  f.trial("a");
  f.steps.trial(f.does("b"), f.waits("undo b"));
  f.trial("c", refused("c failed"));
  f.run();
  CHECK(f.trace == Words{"a", "b", "c", "undo b"});
  f.kept({});
  f.settle();
  CHECK(f.trace == Words{"a", "b", "c", "undo b", "undo a", "over"});
}

TEST_CASE("after abandon() a late answer does nothing") {
  for (const Outcome& late : {Outcome{}, refused("too late")}) {
    Fixture f;
    f.trial("a");
    f.steps.trial(f.waits("b"), f.does("undo b"));
    f.trial("c");
    f.run();
    f.steps.abandon();
    f.kept(late);
    f.settle();
    CHECK(f.trace == Words{"a", "b"});
    CHECK_FALSE(f.end);
  }
}

TEST_CASE("after abandon() a late answer does not touch the next run") {
  Fixture f;
  f.steps.trial(f.waits("old"), f.does("undo old"));
  f.run();
  f.steps.abandon();
  const Done late = f.kept;
  f.steps.begin();
  f.steps.trial(f.waits("new"), f.does("undo new"));
  f.run();
  late(refused("too late"));
  f.kept({});
  f.settle();
  CHECK(f.trace == Words{"old", "new", "over"});
  CHECK(f.end->problems.empty());
}

TEST_CASE("a action may add steps, which come after the existing ones") {
  Fixture f;
  f.steps.then([&f](const Done& done) {
    f.trace.emplace_back("a");
    f.steps.then(f.does("added"));
    done({});
  });
  f.steps.then(f.does("b"));
  f.run();
  CHECK(f.trace == Words{"a", "b", "added", "over"});
}

TEST_CASE("a run begins without remains of an earlier one") {
  Fixture f;
  f.trial("a");
  f.steps.then(f.does("b", refused("b failed")));
  f.run();
  f.steps.begin();
  f.trace.clear();
  f.trial("c", refused("c failed"));
  f.run();
  CHECK(f.trace == Words{"c", "over"});
  CHECK(f.end->problems == Words{"c failed"});
}

}  // namespace
}  // namespace bulkhead::reload
