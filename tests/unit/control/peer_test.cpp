// Who a peer of the control socket is to the daemon.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "master/control/control_socket.h"
#include "master/protocol/protocol.h"
#include "worker/sys/fd.h"

namespace bulkhead::control {
namespace {

sys::Fd pidfd_of(pid_t pid) {
  return sys::Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

TEST_CASE("A process is below its ancestors and itself, and below nobody else") {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  const sys::Fd pidfd = pidfd_of(child);
  const sys::Fd ours = pidfd_of(getpid());
  CHECK(is_below(child, pidfd.get(), getpid()));
  CHECK(is_below(child, pidfd.get(), getppid()));
  CHECK(is_below(getpid(), ours.get(), getpid()));
  CHECK_FALSE(is_below(getpid(), ours.get(), child));
  CHECK_FALSE(is_below(getppid(), pidfd_of(getppid()).get(), getpid()));
  CHECK_FALSE(is_below(0, -1, getpid()));  // of another pid namespace
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(is_below(child, pidfd.get(), getpid()));  // nobody can tell any more
  CHECK(is_below(getppid(), pidfd.get(), getpid()));
}

TEST_CASE("Reading verbs and changing ones") {
  const auto changes = [](const char* line) {
    return protocol::changes(std::get<protocol::Request>(protocol::parse_request(line)));
  };
  CHECK_FALSE(changes(R"({"jsonrpc":"2.0","id":1,"method":"tree"})"));
  CHECK_FALSE(changes(R"({"jsonrpc":"2.0","id":1,"method":"penalties"})"));
  CHECK(changes(R"({"jsonrpc":"2.0","id":1,"method":"penalties","params":{"clear":"192.0.2.0/24"}})"));
  CHECK(changes(R"({"jsonrpc":"2.0","id":1,"method":"reload"})"));
}

}  // namespace
}  // namespace bulkhead::control
