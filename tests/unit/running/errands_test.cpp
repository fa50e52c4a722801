// What one worker of a listener is to carry out; the workers are a script.
#include "master/process/errands.h"

#include <catch2/catch.hpp>
#include <optional>
#include <variant>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::process {
namespace {

struct Workers {
  bool ready = true;
  std::optional<supervision::RunId> free = 1;  // the one whose channel has room
  std::vector<ipc::Down> sent;

  [[nodiscard]] Errands::Carriers carriers() {
    return {[this](const net::Listener&) { return ready; },
            [this](const net::Listener&, const ipc::Down& message) {
              if (free) sent.push_back(message);
              return free;
            }};
  }
};

struct Fixture {
  rig::Rig rig{rig::file_with(rig::listener_entry("echo"))};
  Workers workers;
  Errands errands{workers.carriers()};
  std::vector<std::uint32_t> answers;

  Fixture() { rig.start(); }
  [[nodiscard]] net::Listener& echo() { return rig.listener_at("root/echo"); }
  void ask(const ipc::Down& message) {
    errands.ask(echo(), message, [this](std::uint32_t count) { answers.push_back(count); });
  }
};

TEST_CASE("the errands of a listener are carried out one after another, each answered with its count") {
  Fixture f;
  f.ask(ipc::Forgive{});
  f.ask(ipc::Limits{});
  CHECK(f.workers.sent.size() == 1);
  CHECK(f.errands.since(f.echo(), 1));
  REQUIRE(f.errands.done(f.echo(), 1, {ipc::Forgive::kType, 3}));
  CHECK(f.answers == std::vector<std::uint32_t>{3});
  CHECK(std::holds_alternative<ipc::Limits>(f.workers.sent.back()));
  REQUIRE(f.errands.done(f.echo(), 1, {ipc::Limits::kType, 0}));
  CHECK_FALSE(f.errands.any_under_way());
}

TEST_CASE("an answer from another worker, or to another errand, is none") {
  Fixture f;
  CHECK_FALSE(f.errands.done(f.echo(), 1, {ipc::Forgive::kType, 0}));
  f.ask(ipc::Forgive{});
  CHECK_FALSE(f.errands.done(f.echo(), 2, {ipc::Forgive::kType, 0}));
  CHECK_FALSE(f.errands.done(f.echo(), 1, {ipc::Limits::kType, 0}));
  CHECK(f.answers.empty());
}

TEST_CASE("the errand of a worker that dies goes to the next one") {
  Fixture f;
  f.ask(ipc::Forgive{});
  f.workers.free = 2;
  f.errands.worker_gone(f.echo(), 1);
  f.errands.next(f.echo());
  CHECK(f.workers.sent.size() == 2);
  CHECK(f.errands.done(f.echo(), 2, {ipc::Forgive::kType, 1}));
}

TEST_CASE("an errand waits until a channel has room") {
  Fixture f;
  f.workers.free.reset();
  f.ask(ipc::Forgive{});
  CHECK_FALSE(f.errands.any_under_way());
  f.workers.free = 1;
  f.errands.next_of_all();
  CHECK(f.errands.any_under_way());
}

TEST_CASE("without a ready worker nobody waits for an answer, and only what a new worker lacks is kept for it") {
  Fixture f;
  f.workers.ready = false;
  f.ask(ipc::Limits{});
  f.ask(ipc::Forgive{});
  CHECK(f.answers == std::vector<std::uint32_t>{0, 0});
  f.workers.ready = true;
  f.errands.next(f.echo());
  REQUIRE(f.workers.sent.size() == 1);
  CHECK(std::holds_alternative<ipc::Forgive>(f.workers.sent.front()));
}

TEST_CASE("the errands of a listener that goes away are answered") {
  Fixture f;
  f.ask(ipc::Forgive{});
  f.ask(ipc::Forgive{});
  f.errands.forget(f.echo());
  CHECK(f.answers.size() == 2);
  CHECK_FALSE(f.errands.any_under_way());
}

}  // namespace
}  // namespace bulkhead::process
