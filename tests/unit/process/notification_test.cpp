#include "master/process/notification.h"

#include <catch2/catch.hpp>
#include <random>

namespace bulkhead::process::testing {

using namespace std::chrono_literals;

TEST_CASE("each variable that we act on is understood") {
  CHECK(parse_notification("READY=1").ready);
  CHECK(parse_notification("READY=1\n").ready);
  CHECK(parse_notification("STOPPING=1").stopping);
  CHECK(parse_notification("WATCHDOG=1").watchdog);
  CHECK(parse_notification("STATUS=warming up").status == "warming up");
  CHECK(parse_notification("STATUS=").status == "");
  CHECK(parse_notification("EXTEND_TIMEOUT_USEC=1500000").extend_timeout == 1500ms);
}

TEST_CASE("several variables come in one message, in any order") {
  const Notification news = parse_notification("STATUS=a=b\nMAINPID=1\nREADY=1\n\nX_OWN=1\nWATCHDOG=1");
  CHECK(news.ready);
  CHECK(news.watchdog);
  CHECK_FALSE(news.stopping);
  CHECK(news.status == "a=b");
  CHECK_FALSE(news.extend_timeout);
}

TEST_CASE("text that only resembles a variable is ignored") {
  for (const std::string_view message : {"", "\n", "READY", "READY=", "READY=0", "READY=11", "ready=1", " READY=1",
                                         "READY=1 ", "READY=1\r\n", "NOTREADY=1", "STATUSREADY=1", "=1"}) {
    CAPTURE(message);
    CHECK_FALSE(parse_notification(message).ready);
  }
  CHECK_FALSE(parse_notification("WATCHDOG=trigger").watchdog);
  CHECK_FALSE(parse_notification("STOPPING=2").stopping);
}

TEST_CASE("one NUL may end a message, any other makes it invalid") {
  CHECK(parse_notification(std::string_view("READY=1\0", 8)).ready);
  CHECK_FALSE(parse_notification(std::string_view("READY=1\0\0", 9)).ready);
  CHECK_FALSE(parse_notification(std::string_view("READY=1\n\0X=1", 12)).ready);
}

TEST_CASE("a status is made printable and kept short, and the first one counts") {
  CHECK(parse_notification("STATUS=\x1b[2Jgone \xc3\xa9").status == "?[2Jgone ??");
  CHECK(parse_notification("STATUS=" + std::string(1000, 'x')).status == std::string(kMaxStatus, 'x'));
  CHECK(parse_notification("STATUS=one\nSTATUS=two").status == "one");
}

TEST_CASE("an extension is a number of microseconds, and at most an hour") {
  const auto extension = [](std::string_view digits) {
    return parse_notification("EXTEND_TIMEOUT_USEC=" + std::string(digits)).extend_timeout;
  };
  CHECK(extension("0") == 0us);
  CHECK(extension("3600000000") == 1h);
  CHECK(extension("3600000001") == 1h);
  CHECK(extension("18446744073709551615") == 1h);
  CHECK(extension("99999999999999999999999") == 1h);
  for (const std::string_view bad : {"", "-1", "+1", "1s", " 1", "1 ", "0x10", "99999999999999999999999s"}) {
    CAPTURE(bad);
    CHECK_FALSE(extension(bad));
  }
}

TEST_CASE("the parser survives arbitrary bytes") {
  std::mt19937 random(1);
  const std::string_view alphabet("READY=1\nSTATUSWCHDOGP\0\xff", 23);
  for (int round = 0; round < 20'000; ++round) {
    std::string message;
    for (std::size_t i = random() % 40; i > 0; --i) message += alphabet[random() % alphabet.size()];
    const Notification news = parse_notification(message);
    if (news.ready) CHECK(message.find("READY=1") != std::string::npos);
    if (news.status) CHECK(news.status->size() <= kMaxStatus);
  }
}

}  // namespace bulkhead::process::testing
