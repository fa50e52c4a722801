// Sends and receives messages over a nonblocking SOCK_SEQPACKET socket. Never blocks, never allocates.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

#include "worker/ipc/message.h"
#include "worker/ipc/packet.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

struct ChannelPair {
  sys::Fd master;
  sys::Fd worker;
};
// Both ends close-on-exec and nonblocking.
[[nodiscard]] sys::Result<ChannelPair> make_channel();

// False: the packet was not taken (full, or the peer is gone; errno says which). `descriptor` -1: none travels.
[[nodiscard]] bool send_packet(int channel, const Packet& packet, int descriptor = -1) noexcept;

// send(channel, Suspend{})
template <Message T>
[[nodiscard]] bool send(int channel, const T& message, int descriptor = -1) noexcept {
  return send_packet(channel, packet_of(message), descriptor);
}
[[nodiscard]] bool send(int channel, const Down& message) noexcept;

enum class Received { message, nothing, closed, malformed };
// For the master. A descriptor that comes up nevertheless is closed, and the packet counts as malformed. A Hello of
// another version counts as a message, whatever else is in it.
[[nodiscard]] Received receive_up(int channel, Up& message) noexcept;
// For a worker. `descriptor` receives what travelled along (close-on-exec), or is empty.
[[nodiscard]] Received receive_down(int channel, Down& message, sys::Fd& descriptor) noexcept;

// A Fail, over a channel or over a pipe; the text is cut to what fits. Async-signal-safe.
void send_failure(int report, Stage stage, int error, std::string_view text = {}) noexcept;
struct FailureRead {
  ssize_t got = 0;              // as read(2) returns it; errno is as it left it
  std::optional<Fail> failure;  // nothing: what was read is no Fail
};
// From the other end of the pipe.
[[nodiscard]] FailureRead read_failure(int pipe) noexcept;

}  // namespace bulkhead::ipc
