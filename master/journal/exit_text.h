// How a process ended, in words, for the log, for events and for the chain of causes.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::journal {

// "was killed by SIGSEGV (core dumped)", "ended with exit status 3".
[[nodiscard]] std::string exit_text(int wait_status);

// The same for the chain of causes, where `failure`, what we know of why, says more than how it went down.
[[nodiscard]] std::string cause_text(int wait_status, const std::string& failure, bool was_ready);

// What finishes the sentence: `failure`, a predicate that may be empty, and how many connections of a worker were
// adopted.
[[nodiscard]] std::string remark_of(const std::string& failure, std::uint32_t adopted);

}  // namespace bulkhead::journal
