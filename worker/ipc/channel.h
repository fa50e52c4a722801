// Sends and receives Message over a nonblocking SOCK_SEQPACKET socket. Never blocks, never allocates.
#pragma once

#include <string_view>

#include "worker/ipc/message.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

struct ChannelPair {
  sys::Fd master;
  sys::Fd worker;
};
// Both ends close-on-exec and nonblocking.
[[nodiscard]] sys::Result<ChannelPair> make_channel();

// False: the packet was not taken (full, or the peer is gone; errno tells). `descriptor` -1: none travels.
[[nodiscard]] bool send(int channel, const Message& message, int descriptor = -1) noexcept;

// A `fail`; the text is cut to what fits.
void send_failure(int channel, Stage stage, int error, std::string_view text) noexcept;

enum class Received { message, nothing, closed, malformed };
// `descriptor` receives what travelled along (close-on-exec), or stays empty. Where it is null a descriptor that comes
// all the same is closed, and the packet counts as malformed.
[[nodiscard]] Received receive(int channel, Message& message, sys::Fd* descriptor = nullptr) noexcept;

}  // namespace bulkhead::ipc
