#include "worker/ipc/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::ipc {

sys::Result<ChannelPair> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return sys::Error{"socketpair", "worker channel", errno};
  }
  return ChannelPair{sys::Fd(ends[0]), sys::Fd(ends[1])};
}

bool send_packet(int channel, const Packet& packet, int descriptor) noexcept {
  iovec part{const_cast<char*>(packet.bytes), packet.size};  // NOLINT: sendmsg only reads it
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  for (;;) {
    const ssize_t sent = sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return true;
    if (errno != EINTR) return false;
  }
}

namespace {

// Where `descriptor` is null, none may come.
Received receive_packet(int channel, Packet& packet, sys::Fd* descriptor) noexcept {
  iovec part{packet.bytes, sizeof packet.bytes};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = recvmsg(channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? Received::nothing : Received::closed;
  sys::Fd carried;
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    // Alignment leaves room for more than the one descriptor that a message may carry; none of them may stay open.
    const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(rights) + i * sizeof number, sizeof number);
      carried.reset(number);
    }
  }
  if (got == 0) return Received::closed;
  const bool surplus = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || (carried && descriptor == nullptr);
  if (surplus) return Received::malformed;
  if (descriptor != nullptr) *descriptor = std::move(carried);
  packet.size = static_cast<std::size_t>(got);
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
