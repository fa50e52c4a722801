// One datagram, or one packet, with what unix(7) lets travel beside its bytes: a descriptor (SCM_RIGHTS), or who sent
// it (SCM_CREDENTIALS). Never blocks, never allocates; async-signal-safe. Repeats what a signal interrupts.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <span>

#include "worker/sys/fd.h"

namespace bulkhead::sys {

// False: it was not taken; errno says why. `descriptor` -1: none travels. `to` null: the socket is connected.
[[nodiscard]] bool send_datagram(int socket, std::span<const char> bytes, int descriptor = -1,
                                 const sockaddr* to = nullptr, socklen_t to_length = 0) noexcept;

struct Datagram {
  ssize_t size = -1;      // as recvmsg(2) returns it; -1: errno says why
  bool is_cut = false;    // it was longer than the buffer
  bool has_more = false;  // more came beside it than was asked for; none of that is open here
  Fd descriptor;          // close-on-exec
  pid_t sender = 0;       // 0: the kernel does not name it
};
// With at most one descriptor.
[[nodiscard]] Datagram receive_with_descriptor(int socket, std::span<char> buffer) noexcept;
// The socket must have SO_PASSCRED. There is room for the sender and nothing else, so that a descriptor that a stranger
// sends never enters this process: the kernel closes it.
[[nodiscard]] Datagram receive_with_sender(int socket, std::span<char> buffer) noexcept;

}  // namespace bulkhead::sys
