// The phases of a shutdown, with a scripted workforce and the test's own clock.
#include "master/procedure/stop_sequence.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"
#include "worker/ipc/table/robust_lock.h"
#include "worker/ipc/table/table.h"

namespace bulkhead::procedure {
namespace {

using namespace std::chrono_literals;
using Phase = StopSequence::Phase;
using Words = std::vector<std::string>;

struct Script final : running::Workforce {
  Words deeds;
  bool drained = true;
  bool in_hand = false;

  void send(net::Listener&, const ipc::Down& message) override {
    deeds.emplace_back(std::holds_alternative<ipc::Drain>(message) ? "drain" : "other");
  }
  void give_socket(net::Listener&, const net::ListeningSocket&) override {}
  void retire(supervision::RunId worker) override { deeds.push_back("retire " + std::to_string(worker)); }
  bool all_drained(const net::Listener&, bool) const override { return drained; }
  bool any_in_hand(const net::Listener&) const override { return in_hand; }
  void signal_connections(net::Listener&, int signal) override { deeds.push_back("all " + std::to_string(signal)); }
  void signal_adopted(net::Listener&, int signal) override { deeds.push_back("adopted " + std::to_string(signal)); }
  running::Signalled signal_connection(net::Listener&, std::uint32_t slot, std::uint32_t, int) override {
    deeds.push_back("one " + std::to_string(slot));
    return running::Signalled::yes;
  }
  bool end_connection(net::Listener&, std::uint32_t, std::uint32_t, ipc::EndCause) override { return true; }
  void ask(net::Listener&, const ipc::Down&, process::Answered) override {}
  bool has_ready_worker(const net::Listener&) const override { return true; }
  bool has_connections(const net::Listener& listener) const override { return listener.counts().used != 0; }
  bool let_go(net::Listener&, process::LetGo how) override {
    deeds.push_back("let go " + std::to_string(static_cast<int>(how)));
    return drained;
  }
  void kill_unresponsive(net::Listener&, std::chrono::nanoseconds) override {}
  void for_each_worker(const std::function<void(const process::WorkerProcess&)>&) const override {}
};

struct Fixture {
  net::InheritedSockets inherited;
  config::Config config = rig::config_of(rig::file_with(rig::listener_entry("echo")));
  net::Listener listener{0, "root/echo", *config.root.children[0].listener, inherited};
  ipc::Table table;
  supervision::Instant time{};
  Script script;
  StopSequence sequence;
  std::vector<Phase> phases;
  int tree_stops = 0;
  int kills = 0;
  int ends = 0;

  explicit Fixture(const StopSequence::Times& times = {std::nullopt, 0s, 0s})
      : sequence(script, times, [this] { return time; }) {
    ipc::register_robust_list();
    REQUIRE_FALSE(listener.open());
    auto mapped = ipc::Table::map(listener.table_fd(), listener.table().room());
    REQUIRE(mapped);
    table = std::move(*mapped);
    sequence.set_world({[this] { return std::vector{&listener}; }, [this] { ++tree_stops; }, [this] { ++kills; },
                        [this](Phase phase) { phases.push_back(phase); }, [this] { ++ends; }});
  }
  void pass(std::chrono::milliseconds passed) {
    time += passed;
    sequence.tick();
  }
  std::uint32_t connect() {
    const std::uint32_t slot = table.claim({1, 1, 0}).slot;
    table.serve(slot);
    return slot;
  }
  void drain() {
    sequence.without_lame_duck();
    pass(50ms);
    script.deeds.clear();
  }
};

TEST_CASE("TERM goes through all phases in order") {
  Fixture f({std::nullopt, 1s, 0s});
  f.sequence.graceful();
  f.pass(999ms);
  CHECK(f.phases == std::vector{Phase::lame_duck});
  f.pass(1ms);
  f.pass(50ms);
  f.pass(10ms);
  f.sequence.tree_gone();
  CHECK(f.phases == std::vector{Phase::lame_duck, Phase::closing, Phase::draining, Phase::stopping_tree, Phase::done});
  CHECK(f.ends == 1);
}

TEST_CASE("QUIT begins at closing, with the port still open") {
  Fixture f({std::nullopt, 1s, 0s});
  f.sequence.without_lame_duck();
  CHECK(f.phases == std::vector{Phase::closing});
  CHECK(f.listener.is_open());
}

TEST_CASE("INT closes the port and asks connections to end at once") {
  Fixture f({std::nullopt, 1s, 0s});
  (void)f.connect();
  f.sequence.fast();
  CHECK(f.phases == std::vector{Phase::terminating});
  CHECK_FALSE(f.listener.is_open());
  CHECK(f.script.deeds == Words{"all 15"});
}

TEST_CASE("a third signal kills the connections") {
  Fixture f({std::nullopt, 1s, 0s});
  (void)f.connect();
  f.sequence.graceful();
  f.sequence.graceful();
  CHECK(f.script.deeds == Words{"all 15"});
  f.sequence.graceful();
  CHECK(f.script.deeds == Words{"all 15", "all 9"});
}

TEST_CASE("a signal while the tree stops kills everything") {
  Fixture f;
  f.drain();
  f.pass(10ms);
  f.sequence.graceful();
  CHECK(f.kills == 1);
}

TEST_CASE("only a lame duck can be called off") {
  Fixture f({std::nullopt, 1s, 0s});
  f.sequence.graceful();
  CHECK(f.sequence.call_off());
  CHECK(f.sequence.phase() == Phase::idle);
  CHECK(f.listener.is_open());
  f.sequence.without_lame_duck();
  CHECK_FALSE(f.sequence.call_off());
}

TEST_CASE("a drain ends when no connection is left") {
  Fixture f;
  const auto slot = f.connect();
  f.drain();
  f.pass(1h);
  CHECK_FALSE(f.listener.is_open());
  CHECK(f.sequence.phase() == Phase::draining);
  (void)f.table.end(slot, ipc::EndCount::normal);
  f.pass(10ms);
  CHECK(f.tree_stops == 1);
}

TEST_CASE("the port stays open until all workers have emptied the queue") {
  Fixture f;
  f.script.drained = false;
  f.drain();
  f.pass(10ms);
  CHECK(f.listener.is_open());
  f.script.drained = true;
  f.pass(10ms);
  CHECK_FALSE(f.listener.is_open());
}

TEST_CASE("drain_timeout ends a drain") {
  Fixture f({5s, 0s, 0s});
  (void)f.connect();
  f.drain();
  f.pass(4999ms);
  CHECK(f.sequence.phase() == Phase::draining);
  f.pass(1ms);
  CHECK(f.sequence.phase() == Phase::terminating);
}

TEST_CASE("close_spread asks connections one after another") {
  Fixture f({std::nullopt, 0s, 1s});
  for (int i = 0; i < 4; ++i) (void)f.connect();
  f.sequence.fast();
  CHECK(f.script.deeds.empty());
  f.pass(500ms);
  CHECK(f.script.deeds == Words{"one 0", "one 1"});
  f.pass(500ms);
  CHECK(f.script.deeds == Words{"one 0", "one 1", "all 15"});
}

TEST_CASE("connections left after shutdown are killed, and given up 2 s later") {
  Fixture f;
  (void)f.connect();
  f.sequence.fast();
  f.pass(4999ms);
  CHECK(f.script.deeds == Words{"all 15"});
  f.pass(1ms);
  CHECK(f.script.deeds == Words{"all 15", "all 9"});
  f.pass(1999ms);
  CHECK(f.tree_stops == 0);
  f.pass(1ms);
  CHECK(f.tree_stops == 1);
}

TEST_CASE("a worker that is ready late drains with the others, or is retired") {
  Fixture f;
  process::WorkerProcess worker;
  worker.run = 7;
  worker.listener = &f.listener;
  (void)f.connect();
  f.drain();
  f.sequence.worker_ready(worker);
  CHECK(f.script.deeds == Words{"drain"});
  f.sequence.fast();
  f.script.deeds.clear();
  f.sequence.worker_ready(worker);
  CHECK(f.script.deeds == Words{"retire 7"});
}

TEST_CASE("the connections of a worker that dies while terminating get the signal that is due") {
  Fixture f;
  (void)f.connect();
  f.sequence.fast();
  f.script.deeds.clear();
  f.sequence.worker_gone(f.listener);
  f.pass(5s);
  f.sequence.worker_gone(f.listener);
  CHECK(f.script.deeds == Words{"adopted 15", "all 9", "adopted 9"});
}

TEST_CASE("when the tree has ended by itself, connections are drained and it is not stopped again") {
  Fixture f;
  const auto slot = f.connect();
  f.sequence.tree_gone();
  CHECK(f.sequence.phase() == Phase::closing);
  f.pass(50ms);
  f.pass(1h);
  CHECK(f.sequence.phase() == Phase::draining);
  (void)f.table.end(slot, ipc::EndCount::normal);
  f.pass(10ms);
  CHECK(f.tree_stops == 0);
  CHECK(f.ends == 1);
}

TEST_CASE("who leaves lets the workers go after the handshakes, waits for none, and signals no connection") {
  Fixture f({5s, 1s, 0s});
  (void)f.connect();
  f.script.drained = false;
  f.sequence.leave(false);
  CHECK(f.phases == std::vector{Phase::leaving});
  f.pass(49ms);
  CHECK(f.script.deeds.empty());
  f.pass(1ms);
  CHECK(f.script.deeds == Words{"let go 0"});
  CHECK(f.listener.is_open());
  f.script.drained = true;
  f.pass(10ms);
  CHECK_FALSE(f.listener.is_open());
  CHECK(f.tree_stops == 1);
  f.sequence.worker_gone(f.listener);
  f.sequence.tree_gone();
  CHECK(f.script.deeds == Words{"let go 0", "let go 0"});
  CHECK(f.phases == std::vector{Phase::leaving, Phase::stopping_tree, Phase::done});
  CHECK(f.ends == 1);
}

TEST_CASE("workers that do not close their sockets are let go as they are after half a second, and killed after one") {
  Fixture f;
  f.script.drained = false;
  f.sequence.leave(false);
  f.pass(499ms);
  f.pass(1ms);
  f.pass(499ms);
  f.pass(1ms);
  CHECK(f.script.deeds == Words{"let go 0", "let go 1", "let go 1", "let go 2"});
  f.pass(1999ms);
  CHECK(f.tree_stops == 0);
  f.pass(1ms);
  CHECK(f.tree_stops == 1);
}

TEST_CASE("who leaves does not touch sockets that others keep") {
  for (const bool stay : {false, true}) {
    Fixture f;
    sockaddr_un address{};
    socklen_t length = sizeof address;
    const sys::Fd copy(fcntl(f.listener.sockets()[0].fd.get(), F_DUPFD_CLOEXEC, 3));
    f.sequence.leave(stay);
    f.pass(50ms);
    CHECK_FALSE(f.listener.is_open());
    getsockname(copy.get(), reinterpret_cast<sockaddr*>(&address), &length);
    const sys::Fd client(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const bool queued = connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) == 0;
    CHECK(queued == stay);
  }
}

TEST_CASE("who leaves frees the address, even if a worker keeps the socket") {
  Fixture f;
  net::Listener tcp(1, "root/tcp",
                    rig::config_of(rig::file_with(rig::listener_entry("tcp", R"("listen":"127.0.0.1:0")")))
                        .root.children[0]
                        .listener.value(),
                    f.inherited);
  REQUIRE_FALSE(tcp.open());
  f.sequence.set_world({[&tcp] { return std::vector{&tcp}; }, [] {}, [] {}, [](Phase) {}, [] {}});
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  const sys::Fd kept(fcntl(tcp.sockets()[0].fd.get(), F_DUPFD_CLOEXEC, 3));
  getsockname(kept.get(), reinterpret_cast<sockaddr*>(&address), &length);
  f.sequence.leave(false);
  f.pass(50ms);
  const sys::Fd next(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(next.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  CHECK(bind(next.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(listen(next.get(), 1) == 0);
}

TEST_CASE("a first signal changes nothing for who leaves, a second one kills what is left of the tree") {
  Fixture f;
  f.script.drained = false;
  f.sequence.leave(false);
  f.sequence.graceful();
  CHECK(f.kills == 0);
  CHECK(f.sequence.phase() == Phase::leaving);
  f.sequence.fast();
  CHECK(f.kills == 1);
}

TEST_CASE("a further signal of any kind ends the present phase and terminates connections") {
  for (const auto signal : {&StopSequence::graceful, &StopSequence::without_lame_duck, &StopSequence::fast}) {
    for (const Phase from : {Phase::lame_duck, Phase::closing, Phase::draining}) {
      Fixture f({std::nullopt, 1s, 0s});
      (void)f.connect();
      f.sequence.graceful();
      if (from != Phase::lame_duck) f.sequence.end_lame_duck();
      if (from == Phase::draining) f.pass(50ms);
      REQUIRE(f.sequence.phase() == from);
      (f.sequence.*signal)();
      CHECK(f.sequence.phase() == Phase::terminating);
    }
  }
}

TEST_CASE("only a lame duck is cut short") {
  Fixture f({std::nullopt, 1s, 0s});
  f.sequence.end_lame_duck();
  CHECK(f.sequence.phase() == Phase::idle);
  f.sequence.graceful();
  f.sequence.end_lame_duck();
  CHECK(f.sequence.phase() == Phase::closing);
  f.sequence.end_lame_duck();
  CHECK(f.sequence.phase() == Phase::closing);
}

TEST_CASE("a drain waits for connections that a worker has accepted and not started yet") {
  Fixture f;
  f.script.in_hand = true;
  f.drain();
  f.pass(1h);
  CHECK(f.sequence.phase() == Phase::draining);
  f.script.in_hand = false;
  f.pass(10ms);
  CHECK(f.sequence.phase() == Phase::stopping_tree);
}

TEST_CASE("the queue of a suspended listener is served before it ends") {
  Fixture f;
  f.listener.gate().hold(net::Gate::Holder::operators);
  f.drain();
  CHECK(f.listener.gate().accepting());
}

TEST_CASE("a worker that starts while connections are being ended must not accept") {
  Fixture f;
  f.sequence.fast();
  CHECK(f.listener.gate().is_held_by(net::Gate::Holder::ending));
}

TEST_CASE("KILL comes later by as much as the TERMs were spread") {
  Fixture f({std::nullopt, 0s, 10s});
  (void)f.connect();
  f.sequence.fast();
  f.pass(10s);
  f.pass(4999ms);
  CHECK(f.script.deeds == Words{"all 15"});
  f.pass(1ms);
  CHECK(f.script.deeds == Words{"all 15", "all 9"});
}

TEST_CASE("workers of other listeners are left alone") {
  Fixture f;
  net::Listener other(1, "root/other", f.listener.config(), f.inherited);
  process::WorkerProcess worker;
  worker.listener = &other;
  (void)f.connect();
  f.sequence.fast();
  f.script.deeds.clear();
  f.sequence.worker_ready(worker);
  f.sequence.worker_gone(other);
  CHECK(f.script.deeds.empty());
}

TEST_CASE("a listener that is forgotten during the sequence is no longer touched") {
  Fixture f({std::nullopt, 0s, 1s});
  (void)f.connect();
  f.sequence.fast();
  f.script.deeds.clear();
  f.sequence.forget(f.listener);
  f.pass(10s);
  CHECK(f.script.deeds.empty());
  CHECK(f.tree_stops == 1);
}

}  // namespace
}  // namespace bulkhead::procedure
