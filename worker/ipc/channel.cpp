#include "worker/ipc/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "worker/sys/fd_passing.h"

namespace bulkhead::ipc {

sys::Result<ChannelPair> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return sys::Error{"socketpair", "worker channel", errno};
  }
  return ChannelPair{sys::Fd(ends[0]), sys::Fd(ends[1])};
}

bool send_packet(int channel, const Packet& packet, int descriptor) noexcept {
  return sys::send_datagram(channel, {packet.bytes, packet.size}, descriptor);
}

namespace {

// Where `descriptor` is null, none may come.
Received receive_packet(int channel, Packet& packet, sys::Fd* descriptor) noexcept {
  sys::Datagram got = sys::receive_with_descriptor(channel, packet.bytes);
  if (got.size < 0) return errno == EAGAIN ? Received::nothing : Received::closed;
  if (got.size == 0) return Received::closed;
  if (got.is_cut || got.has_more || (got.descriptor && descriptor == nullptr)) return Received::malformed;
  if (descriptor != nullptr) *descriptor = std::move(got.descriptor);
  packet.size = static_cast<std::size_t>(got.size);
  return Received::message;
}

}  // namespace

bool send(int channel, const Down& message) noexcept {
  return std::visit([channel](const auto& one) { return send(channel, one); }, message);
}

Received receive_up(int channel, Up& message) noexcept {
  Packet packet;
  const Received how = receive_packet(channel, packet, nullptr);
  if (how != Received::message) return how;
  if (const auto other = foreign_hello(packet)) {
    message = *other;
    return Received::message;
  }
  return decode(packet, message) ? Received::message : Received::malformed;
}

Received receive_down(int channel, Down& message, sys::Fd& descriptor) noexcept {
  Packet packet;
  const Received how = receive_packet(channel, packet, &descriptor);
  if (how != Received::message) return how;
  return decode(packet, message) ? Received::message : Received::malformed;
}

void send_failure(int report, Stage stage, int error, std::string_view text) noexcept {
  Fail message;
  message.stage = stage;
  message.error = error;
  text.copy(message.text, sizeof message.text - 1);
  const Packet packet = packet_of(message);
  if (!send_packet(report, packet) && errno == ENOTSOCK) (void)!::write(report, packet.bytes, packet.size);
}

FailureRead read_failure(int pipe) noexcept {
  Packet packet;
  const ssize_t got = ::read(pipe, packet.bytes, sizeof packet.bytes);
  if (got <= 0) return {got, std::nullopt};
  packet.size = static_cast<std::size_t>(got);
  return {got, message_in<Fail>(packet)};
}

}  // namespace bulkhead::ipc
