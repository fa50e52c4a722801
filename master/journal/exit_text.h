// How a process ended and why a supervisor gave up, in words, for the log, for events and for the chain of causes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::journal {

// "killed by SIGSEGV (core dumped)"; `signal` is its name.
[[nodiscard]] std::string killed_text(std::string_view signal, bool core_dumped);
// "exited with status 3"
[[nodiscard]] std::string exited_text(int status);
// One of the two, from a wait status (wait(2)).
[[nodiscard]] std::string exit_text(int wait_status);

// The predicate of a sentence in the chain of causes: "was killed by SIGSEGV before it was ready". `failure`, a
// predicate that says why the process failed, takes its place, because the reason says more than the signal; it may be
// empty.
[[nodiscard]] std::string cause_text(int wait_status, const std::string& failure, bool was_ready);

// The text after exit_text() in a log line: "it was not ready within start_timeout", "its 17 connections continue
// (adopted by the master)", both or nothing. `adopted` counts the connections that a worker left.
[[nodiscard]] std::string remark_of(const std::string& failure, std::uint32_t adopted);

// "giving up: root/echo/1 exceeded max_restarts (5) within max_seconds (10)"
[[nodiscard]] std::string exceeded_text(const std::string& child, std::uint32_t max_restarts, double max_seconds);

}  // namespace bulkhead::journal
