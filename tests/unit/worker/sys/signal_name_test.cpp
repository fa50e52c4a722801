#include "worker/sys/signal_name.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

using namespace bulkhead;

TEST_CASE("a signal has the C library's name") {
  for (int signal = 1; signal < sys::kFirstRealTime; ++signal) {
    INFO(signal);
    CHECK(sys::signal_number(sys::signal_name(signal)) == signal);
    CHECK(sys::signal_number(sigabbrev_np(signal)) == signal);
  }
  CHECK(std::string(sys::signal_name(SIGTERM)) == "SIGTERM");
}

TEST_CASE("real-time signals have names, and invalid numbers have none") {
  CHECK(std::string(sys::signal_name(SIGRTMIN)) == "SIGRTMIN");
  CHECK(std::string(sys::signal_name(SIGRTMIN + 3)) == "SIGRTMIN+3");
  CHECK(std::string(sys::signal_name(SIGRTMAX - 14)) == "SIGRTMAX-14");
  CHECK(std::string(sys::signal_name(SIGRTMAX)) == "SIGRTMAX");
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
    INFO(signal);
    CHECK(sys::signal_number(sys::signal_name(signal)) == signal);
    CHECK(sys::is_named_signal(signal));
    if (signal == SIGRTMIN || signal == SIGRTMAX) continue;
    CHECK(sys::signal_number("RTMIN+" + std::to_string(signal - SIGRTMIN)) == signal);
    CHECK(sys::signal_number("SIGRTMAX-" + std::to_string(SIGRTMAX - signal)) == signal);
  }
  for (const int signal : {0, 32, 33, SIGRTMAX + 1}) CHECK_FALSE(sys::is_named_signal(signal));
  CHECK(std::string(sys::signal_name(32)) == "signal 32");
  CHECK(std::string(sys::signal_name(-1)) == "an unknown signal");
  CHECK(std::string(sys::signal_name(SIGRTMAX + 1)) == "an unknown signal");
}

TEST_CASE("an unknown signal name has no number") {
  for (const char* word : {"", "SIG", "SIGSIGTERM", "term", "15", "signal 0", "RTMIN+", "RTMIN+0", "RTMIN-1",
                           "RTMIN+31", "RTMIN+x", "RTMIN+003", "RTMAX+1", "SIGRT", "nal 32"}) {
    INFO(word);
    CHECK(sys::signal_number(word) == 0);
  }
  CHECK(sys::signal_number("TERM") == SIGTERM);
}
