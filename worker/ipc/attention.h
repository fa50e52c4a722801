// What a connection is looked at for while it is served, by what the kernel says of its socket (tcp_look.h): for how
// long it may be idle, until when its client must have sent something, and whether it continues without a client. Pure:
// its worker and, for an adopted connection, the master judge alike.
#pragma once

#include <algorithm>
#include <cstdint>

#include "worker/ipc/slot.h"
#include "worker/ipc/tcp_look.h"

namespace bulkhead::ipc {

// What happens to a handler that goes on when its client has left: nothing; it is asked to end where the connection was
// reset; also where the client has only closed its side, which may be a half-closed connection.
enum class OnClientGone : std::uint32_t { leave, term, term_on_eof };

// How often a client is looked for, and what could not be looked at is looked at again.
inline constexpr std::int64_t kLookEvery = 1'000'000'000;

struct Judgement {
  EndCause cause = EndCause::none;  // why it is ended now
  std::int64_t next_ns = 0;         // when to look again; 0: never
};

// Whether a connection that has just begun, or has been adopted, is looked at.
[[nodiscard]] constexpr bool is_watched(const Slot& slot, OnClientGone on_gone) noexcept {
  return slot.cookie != 0 && slot.lifetime == Lifetime::going_on &&
         (slot.idle_timeout_ns > 0 || slot.first_byte_ns > 0 || on_gone != OnClientGone::leave);
}

namespace attention {

// The slot may have been written by anybody: no sum of these overflows.
[[nodiscard]] constexpr std::int64_t bounded(std::int64_t span_ns) noexcept {
  constexpr std::int64_t kTenYears = std::int64_t{10} * 8766 * 3600 * 1'000'000'000;
  return std::clamp<std::int64_t>(span_ns, 0, kTenYears);
}

constexpr void sooner(std::int64_t& next_ns, std::int64_t then_ns) noexcept {
  if (next_ns == 0 || then_ns < next_ns) next_ns = then_ns;
}

}  // namespace attention

[[nodiscard]] constexpr Judgement judge(const Slot& slot, const TcpLook& look, OnClientGone on_gone,
                                        std::int64_t now_ns) noexcept {
  using State = TcpLook::State;
  const bool cares = on_gone != OnClientGone::leave;
  switch (look.state) {
    case State::unknown: return {EndCause::none, now_ns + kLookEvery};
    case State::we_closed: return {};  // the handler does without its client
    case State::gone: return {cares ? EndCause::client_gone : EndCause::none, 0};
    case State::client_closed:
      if (on_gone == OnClientGone::term_on_eof) return {EndCause::client_gone, 0};
      break;
    case State::open: break;
  }
  Judgement out;
  if (cares) out.next_ns = now_ns + kLookEvery;
  if (slot.idle_timeout_ns > 0) {
    const std::int64_t left = attention::bounded(slot.idle_timeout_ns) - attention::bounded(look.idle_ns);
    if (left <= 0) return {EndCause::idle_timeout, 0};
    attention::sooner(out.next_ns, now_ns + left);
  }
  if (slot.first_byte_ns > 0 && look.state == State::open && look.received <= slot.header) {
    const std::int64_t until = attention::bounded(slot.started_ns) + attention::bounded(slot.first_byte_ns);
    if (until <= now_ns) return {EndCause::first_byte_timeout, 0};
    attention::sooner(out.next_ns, until);
  }
  return out;
}

}  // namespace bulkhead::ipc
