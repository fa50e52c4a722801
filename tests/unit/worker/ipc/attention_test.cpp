#include "worker/ipc/attention.h"

#include <catch2/catch.hpp>

#include "worker/ipc/tcp_look.h"

namespace bulkhead::ipc {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 1000 * kSecond;
using State = TcpLook::State;

Slot slot_with(std::int64_t idle_timeout, std::int64_t first_byte) {
  Slot out;
  out.cookie = 7;
  out.started_ns = kNow - 5 * kSecond;
  out.idle_timeout_ns = idle_timeout;
  out.first_byte_ns = first_byte;
  return out;
}

TcpLook look(State state, std::int64_t idle_ns = 0, std::uint64_t received = 0) {
  return {state, idle_ns, received, 0};
}

Judgement judged(const Slot& slot, const TcpLook& at, OnClientGone on_gone = OnClientGone::leave) {
  return judge(slot, at, on_gone, kNow);
}

}  // namespace

TEST_CASE("a connection is ended when it has been idle for its timeout, and looked at again no sooner") {
  const Slot slot = slot_with(10 * kSecond, 0);
  CHECK(judged(slot, look(State::open, 10 * kSecond)).cause == EndCause::idle_timeout);
  CHECK(judged(slot, look(State::client_closed, 11 * kSecond)).cause == EndCause::idle_timeout);
  const Judgement early = judged(slot, look(State::open, 4 * kSecond));
  CHECK(early.cause == EndCause::none);
  CHECK(early.next_ns == kNow + 6 * kSecond);
}

TEST_CASE("a client has to send its first byte in time, and a PROXY header is none") {
  Slot slot = slot_with(0, 5 * kSecond);
  slot.header = 40;
  CHECK(judged(slot, look(State::open, 0, 40)).cause == EndCause::first_byte_timeout);
  CHECK(judged(slot, look(State::open, 0, 41)).cause == EndCause::none);
  CHECK(judged(slot, look(State::open, 0, 41)).next_ns == 0);
  slot.first_byte_ns = 8 * kSecond;
  CHECK(judged(slot, look(State::open, 0, 40)).next_ns == kNow + 3 * kSecond);
  CHECK(judged(slot, look(State::client_closed, 0, 41)).next_ns == 0);
}

TEST_CASE("a handler goes on without its client unless it is told to end") {
  const Slot slot = slot_with(0, 0);
  const auto cause = [&slot](State state, OnClientGone on_gone) { return judged(slot, look(state), on_gone).cause; };
  for (const State state : {State::open, State::client_closed, State::gone, State::we_closed}) {
    CHECK(cause(state, OnClientGone::leave) == EndCause::none);
  }
  CHECK(cause(State::gone, OnClientGone::term) == EndCause::client_gone);
  CHECK(cause(State::client_closed, OnClientGone::term) == EndCause::none);  // it may be half closed
  CHECK(cause(State::client_closed, OnClientGone::term_on_eof) == EndCause::client_gone);
  for (const OnClientGone on_gone : {OnClientGone::term, OnClientGone::term_on_eof}) {
    CHECK(cause(State::open, on_gone) == EndCause::none);
    CHECK(judged(slot, look(State::open), on_gone).next_ns == kNow + kLookEvery);
    CHECK(judged(slot, look(State::we_closed), on_gone).next_ns == 0);  // it has closed the connection itself
  }
}

TEST_CASE("what the system does not say is asked again, and ends nothing") {
  const Judgement none = judged(slot_with(kSecond, kSecond), look(State::unknown), OnClientGone::term_on_eof);
  CHECK(none.cause == EndCause::none);
  CHECK(none.next_ns == kNow + kLookEvery);
}

TEST_CASE("only what has a limit is looked at, and what is being ended is not") {
  CHECK(is_watched(slot_with(kSecond, 0), OnClientGone::leave));
  CHECK(is_watched(slot_with(0, kSecond), OnClientGone::leave));
  CHECK(is_watched(slot_with(0, 0), OnClientGone::term));
  CHECK_FALSE(is_watched(slot_with(0, 0), OnClientGone::leave));
  Slot unix_client = slot_with(kSecond, kSecond);
  unix_client.cookie = 0;
  CHECK_FALSE(is_watched(unix_client, OnClientGone::term));
  Slot ending = slot_with(kSecond, 0);
  ending.lifetime = Lifetime::terminated;
  CHECK_FALSE(is_watched(ending, OnClientGone::leave));
}

TEST_CASE("no number in a slot makes a sum that overflows") {
  constexpr std::int64_t kMost = INT64_MAX;
  Slot slot = slot_with(kMost, kMost);
  slot.started_ns = kMost;
  const Judgement out = judged(slot, look(State::open, kMost));
  CHECK((out.cause == EndCause::idle_timeout || out.next_ns > 0));
}

TEST_CASE("a connection that is asked for by its addresses is told by its cookie from the next one") {
  TcpDiag diag;
  Slot nobody = slot_with(0, 0);
  nobody.peer.family = nobody.local.family = AF_UNIX;
  CHECK(diag.look(nobody).state == State::unknown);
  nobody.peer.family = nobody.local.family = AF_INET;
  nobody.peer.address[0] = nobody.local.address[0] = 127;
  CHECK(diag.look(nobody).state == State::gone);
}

}  // namespace bulkhead::ipc
