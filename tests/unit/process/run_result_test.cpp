// What a post_stop is told about the end of its process.
#include "master/process/run_result.h"

#include <catch2/catch.hpp>
#include <csignal>

namespace bulkhead::process {
namespace {

std::string told(const RunEnd& end) {
  std::string out;
  for (const auto& [name, value] : result_variables(end)) {
    if (name != "SERVICE_RESULT") out += (out.empty() ? "" : " ") + value;
  }
  return out;
}

constexpr int exited(int status) {
  return status << 8;
}
constexpr int kDumped = 0x80;

TEST_CASE("the result of a run, in systemd's words") {
  CHECK(told({.wait_status = exited(0), .expected = true}) == "success exited 0");
  CHECK(told({.wait_status = exited(3)}) == "exit-code exited 3");
  CHECK(told({.wait_status = exited(3), .expected = true}) == "success exited 3");
  CHECK(told({.wait_status = SIGSEGV | kDumped}) == "core-dump dumped SEGV");
  CHECK(told({.wait_status = SIGTERM}) == "signal killed TERM");
  CHECK(told({.wait_status = SIGTERM, .expected = true}) == "success killed TERM");
  CHECK(told({.wait_status = SIGKILL, .expected = true}) == "success killed KILL");  // brutal_kill
  CHECK(told({.wait_status = SIGKILL, .expected = true, .timed_out = true}) == "timeout killed KILL");
  CHECK(told({.wait_status = exited(0), .expected = true, .timed_out = true}) == "success exited 0");
  CHECK(told({.wait_status = SIGKILL, .watchdog = true}) == "watchdog killed KILL");
  CHECK(result_variables({.wait_status = exited(3)}).front() ==
        std::pair<std::string, std::string>("BULKHEAD_RESULT", "exit-code"));
}

}  // namespace
}  // namespace bulkhead::process
