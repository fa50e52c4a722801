// The parts of the built-in handlers that depend on nothing, and the meaning of their exit statuses.
#include "worker/handlers/built_in.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <string>

#include "worker/ipc/connection_log.h"

using namespace bulkhead;

namespace {

std::string daytime_of(std::int64_t unix_seconds) {
  char text[handlers::kDaytimeRoom];
  return {text, handlers::daytime_text(unix_seconds, text)};
}

std::string library_daytime(std::time_t unix_seconds) {
  std::tm broken{};
  gmtime_r(&unix_seconds, &broken);
  char text[handlers::kDaytimeRoom];
  std::string out(text, std::strftime(text, sizeof text, "%A, %B %e, %Y %H:%M:%S-UTC\r\n", &broken));
  if (const auto blank = out.find("  "); blank != std::string::npos) out.erase(blank, 1);
  return out;
}

int exited(int status) {
  return status << 8;
}

}  // namespace

TEST_CASE("the date of daytime is the C library's") {
  CHECK(daytime_of(0) == "Thursday, January 1, 1970 00:00:00-UTC\r\n");
  CHECK(daytime_of(383'247'463) == "Monday, February 22, 1982 17:37:43-UTC\r\n");
  CHECK(daytime_of(951'782'400) == "Tuesday, February 29, 2000 00:00:00-UTC\r\n");
  CHECK(daytime_of(4'107'542'399) == "Sunday, February 28, 2100 23:59:59-UTC\r\n");
  CHECK(daytime_of(4'107'542'400) == "Monday, March 1, 2100 00:00:00-UTC\r\n");
  CHECK(daytime_of(-1) == "Wednesday, December 31, 1969 23:59:59-UTC\r\n");
  for (std::int64_t at = -4'000'000'000; at < 12'000'000'000; at += 7'777'777) {
    REQUIRE(daytime_of(at) == library_daytime(at));
  }
}

TEST_CASE("the longest text of daytime fits") {
  CHECK(daytime_of(16'748'726'399).size() < handlers::kDaytimeRoom);  // a Wednesday in September
}

TEST_CASE("the time protocol counts from 1900, and starts again at 0 in 2036") {
  // The examples of RFC 868.
  CHECK(handlers::rfc868_seconds(0) == 2'208'988'800);
  CHECK(handlers::rfc868_seconds(2'398'291'200 - 2'208'988'800) == 2'398'291'200);
  CHECK(handlers::rfc868_seconds(2'085'978'495) == 0xffffffff);
  CHECK(handlers::rfc868_seconds(2'085'978'496) == 0);
}

TEST_CASE("the end of a connection's process is judged by its exit status") {
  using ipc::Outcome;
  constexpr auto kNone = ipc::EndCause::none;
  const auto built_in = [](int wait_status) { return ipc::outcome_of({true, wait_status, false, kNone, true, {}}); };
  const auto program = [](int wait_status) { return ipc::outcome_of({true, wait_status, false, kNone, false, {}}); };
  CHECK(built_in(exited(0)) == Outcome::normal);
  CHECK(built_in(exited(static_cast<int>(ipc::ExitCode::idle_timeout))) == Outcome::idle_timeout);
  CHECK(built_in(exited(static_cast<int>(ipc::ExitCode::no_input))) == Outcome::no_input);
  CHECK(built_in(exited(1)) == Outcome::crash);
  CHECK(built_in(SIGSEGV) == Outcome::crash);
  for (const int status : {1, 3, 5, 100}) CHECK(program(exited(status)) == Outcome::crash);
  CHECK(program(exited(0)) == Outcome::normal);
  ipc::ExitStatuses normal{};
  for (const int status : {63, 64, 255}) normal.add(static_cast<std::uint8_t>(status));
  const auto with = [&normal](int wait_status, bool is_built_in) {
    return ipc::outcome_of({true, wait_status, false, kNone, is_built_in, normal});
  };
  for (int status = 0; status < 256; ++status) {
    const bool listed = status == 0 || status == 63 || status == 64 || status == 255;
    CHECK(with(exited(status), false) == (listed ? Outcome::normal : Outcome::crash));
  }
  CHECK(with(exited(255), true) == Outcome::crash);
  CHECK(with(SIGHUP, false) == Outcome::crash);
  CHECK(ipc::outcome_of({true, SIGTERM, true, kNone, true, {}}) == Outcome::asked);
  CHECK(ipc::outcome_of({true, SIGTERM, true, ipc::EndCause::max_lifetime, true, {}}) == Outcome::max_lifetime);
  CHECK(ipc::outcome_of({false, SIGSEGV, false, kNone, true, {}}) == Outcome::unknown);
}

TEST_CASE("a program that ends with an error because its client had left has not crashed") {
  using ipc::EndCount;
  using ipc::Outcome;
  const auto end = [](int wait_status, bool left) {
    return ipc::Ended{true,
                      wait_status,
                      false,
                      ipc::EndCause::none,
                      false,
                      {},
                      left ? ipc::ClosedBy::client : ipc::ClosedBy::handler};
  };
  CHECK(ipc::outcome_of(end(SIGPIPE, false)) == Outcome::client_gone);  // its standard output was the connection
  CHECK(ipc::outcome_of(end(exited(255), true)) == Outcome::client_gone);
  CHECK(ipc::outcome_of(end(exited(255), false)) == Outcome::crash);
  CHECK(ipc::outcome_of(end(exited(0), true)) == Outcome::normal);
  CHECK(ipc::outcome_of(end(SIGSEGV, true)) == Outcome::crash);  // no client makes a sound program do that
  CHECK(ipc::count_of(end(exited(255), true)) == EndCount::client_gone);
  CHECK(ipc::count_of(end(exited(255), false)) == EndCount::crashed);
  CHECK(ipc::count_of(end(exited(0), true)) == EndCount::normal);
  CHECK_FALSE(ipc::is_crash(end(SIGPIPE, false)));
  CHECK(ipc::may_be_client_gone(end(exited(1), false)));
  CHECK_FALSE(ipc::may_be_client_gone(end(SIGSEGV, false)));
  CHECK_FALSE(ipc::may_be_client_gone(end(exited(0), false)));
}

TEST_CASE("an end that we brought about has our reason") {
  using ipc::EndCause;
  using ipc::Outcome;
  const auto end = [](EndCause cause) { return ipc::outcome_of({true, SIGTERM, false, cause, false, {}}); };
  CHECK(end(EndCause::max_lifetime) == Outcome::max_lifetime);
  CHECK(end(EndCause::idle_timeout) == Outcome::idle_timeout);
  CHECK(end(EndCause::first_byte_timeout) == Outcome::first_byte_timeout);
  CHECK(end(EndCause::client_gone) == Outcome::client_gone);
  CHECK(end(EndCause::dropped) == Outcome::dropped);
}

namespace {

struct Pair {
  int ours = -1;
  int theirs = -1;
  Pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    ours = ends[0];
    theirs = ends[1];
  }
  ~Pair() {
    close(ours);
    close(theirs);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  void say(const std::string& words) const {
    REQUIRE(send(theirs, words.data(), words.size(), 0) == static_cast<ssize_t>(words.size()));
  }
  [[nodiscard]] std::string hear() const {
    char bytes[256];
    const ssize_t got = recv(theirs, bytes, sizeof bytes, MSG_DONTWAIT);
    return got <= 0 ? std::string() : std::string(bytes, static_cast<std::size_t>(got));
  }
};

constexpr std::int64_t kMillisecond = 1'000'000;

}  // namespace

TEST_CASE("echo ends with its client") {
  const Pair pair;
  handlers::Client client(pair.ours, 50 * kMillisecond);
  SECTION("done: a last line without its newline is echoed too") {
    pair.say("one\ntwo");
    shutdown(pair.theirs, SHUT_WR);
    CHECK(handlers::echo(client) == ipc::ExitCode::done);
    CHECK(pair.hear() == "one\ntwo");
  }
  SECTION("no input") {
    shutdown(pair.theirs, SHUT_WR);
    CHECK(handlers::echo(client) == ipc::ExitCode::no_input);
  }
  SECTION("idle, with no input and in the middle of a line") {
    const std::string words = GENERATE("", "one\ntwo");
    if (!words.empty()) pair.say(words);
    CHECK(handlers::echo(client) == ipc::ExitCode::idle_timeout);
    CHECK(pair.hear() == (words.empty() ? "" : "one\n"));
  }
}

TEST_CASE("discard answers nothing") {
  const Pair pair;
  handlers::Client client(pair.ours, 50 * kMillisecond);
  SECTION("done") {
    pair.say("one\n");
    shutdown(pair.theirs, SHUT_WR);
    CHECK(handlers::discard(client) == ipc::ExitCode::done);
  }
  SECTION("no input") {
    shutdown(pair.theirs, SHUT_WR);
    CHECK(handlers::discard(client) == ipc::ExitCode::no_input);
  }
  SECTION("idle") {
    pair.say("one\n");
    CHECK(handlers::discard(client) == ipc::ExitCode::idle_timeout);
  }
  CHECK(pair.hear().empty());
}

TEST_CASE("chargen continues after its client's half is closed, until the client takes nothing") {
  const Pair pair;
  handlers::Client client(pair.ours, 50 * kMillisecond);
  pair.say("something to be thrown away");
  shutdown(pair.theirs, SHUT_WR);
  CHECK(handlers::chargen(client) == ipc::ExitCode::idle_timeout);
  CHECK(client.at_end_of_input());
  CHECK(pair.hear().substr(0, 80) ==
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n!\"#$%&");
}

TEST_CASE("chargen ends when the client disconnects") {
  const Pair pair;
  handlers::Client client(pair.ours, 0);
  shutdown(pair.theirs, SHUT_RD);
  CHECK(handlers::chargen(client) == ipc::ExitCode::done);
}

TEST_CASE("daytime and time do not wait for the client to disconnect") {
  const Pair pair;
  handlers::Client client(pair.ours, 10 * kMillisecond);
  pair.say("whatever");
  const auto handler = GENERATE(handlers::daytime, handlers::time);
  CHECK(handler(client) == ipc::ExitCode::done);
  CHECK(pair.hear().size() == (handler == handlers::time ? 4 : library_daytime(std::time(nullptr)).size()));
}
