// A child of a built-in handler: the descriptor of its client, and the handler's result as its exit status.
#include "worker/child/start.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "worker/sys/fd.h"
#include "worker/sys/raw.h"

using namespace bulkhead;

namespace {

constexpr int kHeard = 7;

int answer(std::int64_t idle_timeout_ns) noexcept {
  char byte = 0;
  if (sys::raw(SYS_read, 0, sys::raw_pointer(&byte), 1) != 1) return 1;
  ++byte;
  if (sys::raw(SYS_write, 1, sys::raw_pointer(&byte), 1) != 1) return 2;
  if (sys::raw(SYS_read, 3, sys::raw_pointer(&byte), 1) != -EBADF) return 3;
  return idle_timeout_ns == 5 ? kHeard : 4;
}

int status_of(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Ends {
  sys::Fd ours;
  sys::Fd theirs;
  Ends() {
    int both[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
    ours.reset(both[0]);
    theirs.reset(both[1]);
  }
};

}  // namespace

TEST_CASE("a child runs the function with the client at descriptors 0 and 1, and exits with its result") {
  const Ends ends;
  const child::BuiltIn request{ends.theirs.get(), "a title", answer, 5};
  REQUIRE(write(ends.ours.get(), "a", 1) == 1);
  std::int32_t slot = 0;
  child::Started started;
  SECTION("without limits") {
    started = child::start_built_in(request, &slot);
  }
  SECTION("with limits") {
    started = child::start_limited_built_in(request, {}, &slot);
  }
  REQUIRE(started.pid > 0);
  CHECK_FALSE(started.failure);
  CHECK(slot == started.pid);
  CHECK(status_of(started.pid) == kHeard);
  char byte = 0;
  CHECK(read(ends.ours.get(), &byte, 1) == 1);
  CHECK(byte == 'b');
}
