// Which signals are read in which state.
#include "master/procedure/signals.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <vector>

#include "tests/unit/rig/rig.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;

struct Row {
  const char* name;
  SignalState state;
  bool upgrades;  // USR2
  bool changes;   // HUP, WINCH, TTIN, TTOU
};

constexpr std::array kRows{
    Row{"starting", {}, false, false},
    Row{"serving", {.ready = true}, true, true},
    Row{"reloading", {.ready = true, .reloading = true}, false, false},
    Row{"upgrading", {.ready = true, .upgrading = true}, true, false},
    Row{"reloading and upgrading", {.ready = true, .reloading = true, .upgrading = true}, false, false},
    Row{"reloading before it is ready", {.reloading = true}, false, false},
    Row{"stopping before it is ready", {.stopping = true}, true, true},
    Row{"stopping", {.ready = true, .stopping = true}, true, true},
    Row{"stopping during a reload", {.ready = true, .reloading = true, .stopping = true}, true, true},
    Row{"stopping during an upgrade", {.ready = true, .upgrading = true, .stopping = true}, true, true}};

constexpr std::array kAlways{SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
constexpr std::array kChanging{SIGHUP, SIGWINCH, SIGTTIN, SIGTTOU};

TEST_CASE("each state reads exactly the signals that it can carry out or refuse") {
  for (const Row& row : kRows) {
    INFO(row.name);
    std::vector<int> expected(kAlways.begin(), kAlways.end());
    if (row.upgrades) expected.push_back(SIGUSR2);
    if (row.changes) expected.insert(expected.end(), kChanging.begin(), kChanging.end());
    std::vector<int> got = readable_signals(row.state);
    std::ranges::sort(expected);
    std::ranges::sort(got);
    CHECK(got == expected);
  }
}

TEST_CASE("no signal is read twice") {
  for (const Row& row : kRows) {
    INFO(row.name);
    std::vector<int> got = readable_signals(row.state);
    std::ranges::sort(got);
    CHECK(std::ranges::adjacent_find(got) == got.end());
  }
}

TEST_CASE("a daemon that stops ignores the terminal's signals") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  for (const int signal : {SIGWINCH, SIGTTIN, SIGTTOU}) {
    INFO(sys::signal_name(signal));
    obey_terminal_signal(signal, true, rig.listeners, rig.operations, rig.scaling);
    rig.settle();
  }
  CHECK(rig.count("listener_suspended") == 0);
  CHECK(rig.engine.view("root/echo")->children.size() == 2);
}

TEST_CASE("WINCH suspends all listeners, TTIN and TTOU mean one worker more and one fewer for each") {
  if (sys::Fd(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK))) return;  // the terminal's, then
  Rig rig(file_with(listener_entry("a") + "," + listener_entry("b", R"("workers":1)")));
  rig.start();
  const auto obey = [&rig](int signal) {
    obey_terminal_signal(signal, false, rig.listeners, rig.operations, rig.scaling);
    rig.settle();
  };
  const auto workers = [&rig](const char* path) { return rig.engine.view(path)->children.size(); };
  obey(SIGTTIN);
  CHECK(workers("root/a") == 3);
  CHECK(workers("root/b") == 2);
  obey(SIGTTOU);
  obey(SIGTTOU);
  CHECK(workers("root/a") == 1);
  CHECK(workers("root/b") == 1);  // the last one stays
  obey(SIGWINCH);
  CHECK_FALSE(rig.listener_at("root/a").gate().accepting());
  CHECK_FALSE(rig.listener_at("root/b").gate().accepting());
}

}  // namespace
}  // namespace bulkhead::procedure
