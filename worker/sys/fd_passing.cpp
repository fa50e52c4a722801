#include "worker/sys/fd_passing.h"

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace bulkhead::sys {

namespace {

// Alignment leaves room for more than the one descriptor that is asked for; none of the others may stay open.
void take_descriptors(const cmsghdr& part, Datagram& out) noexcept {
  const std::size_t count = (part.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(&part) + i * sizeof number, sizeof number);
    Fd descriptor(number);
    if (out.descriptor) {
      out.has_more = true;
    } else {
      out.descriptor = std::move(descriptor);
    }
  }
}

void take_sender(const cmsghdr& part, Datagram& out) noexcept {
  ucred credentials{};
  std::memcpy(&credentials, CMSG_DATA(&part), sizeof credentials);
  out.sender = credentials.pid;
}

void take_parts(msghdr& header, Datagram& out) noexcept {
  for (const cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(&header, const_cast<cmsghdr*>(part))) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_RIGHTS) take_descriptors(*part, out);
    if (part->cmsg_type == SCM_CREDENTIALS) take_sender(*part, out);
  }
}

Datagram receive(int socket, std::span<char> buffer, std::span<char> control) noexcept {
  iovec part{buffer.data(), buffer.size()};
  msghdr header{};
  Datagram out;
  do {
    header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    out.size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (out.size < 0 && errno == EINTR);
  if (out.size < 0) return out;
  out.is_cut = (header.msg_flags & MSG_TRUNC) != 0;
  out.has_more = (header.msg_flags & MSG_CTRUNC) != 0;
  take_parts(header, out);
  return out;
}

}  // namespace

bool send_datagram(int socket, std::span<const char> bytes, int descriptor, const sockaddr* to,
                   socklen_t to_length) noexcept {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT: sendmsg only reads it
  msghdr header{};
  header.msg_name = const_cast<sockaddr*>(to);  // NOLINT: the same
  header.msg_namelen = to_length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  for (;;) {
    if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

Datagram receive_with_descriptor(int socket, std::span<char> buffer) noexcept {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  return receive(socket, buffer, control);
}

Datagram receive_with_sender(int socket, std::span<char> buffer) noexcept {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  return receive(socket, buffer, control);
}

}  // namespace bulkhead::sys
