#include "worker/ipc/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

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

bool send(int channel, const Message& message, int descriptor) noexcept {
  iovec part{const_cast<Message*>(&message), sizeof message};  // NOLINT: sendmsg only reads it
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

Received receive(int channel, Message& message, sys::Fd* descriptor) noexcept {
  iovec part{&message, sizeof message};
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
  if (surplus || static_cast<std::size_t>(got) != sizeof message) return Received::malformed;
  if (descriptor != nullptr) *descriptor = std::move(carried);
  return Received::message;
}

void send_failure(int channel, Stage stage, int error, std::string_view text) noexcept {
  Message message;
  message.type = MessageType::fail;
  message.reason = static_cast<std::uint32_t>(stage);
  message.error = error;
  text.copy(message.text, sizeof message.text - 1);
  (void)send(channel, message);
}

}  // namespace bulkhead::ipc
