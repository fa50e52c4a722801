// What a message of NETLINK_SOCK_DIAG (sock_diag(7)) says of a TCP socket.
#pragma once

#include <linux/inet_diag.h>
#include <linux/tcp.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace bulkhead::ipc {

[[nodiscard]] inline std::uint64_t cookie_of(const inet_diag_msg& message) noexcept {
  return std::uint64_t{message.id.idiag_cookie[1]} << 32 | message.id.idiag_cookie[0];
}

// Its attribute INET_DIAG_INFO; `size`: of the message with its attributes. An older kernel's is shorter: the rest is
// 0.
[[nodiscard]] std::optional<tcp_info> tcp_info_of(const inet_diag_msg& message, std::size_t size) noexcept;

}  // namespace bulkhead::ipc
