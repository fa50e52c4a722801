#include "worker/ipc/tcp_ends.h"

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "worker/ipc/tcp_info.h"

namespace bulkhead::ipc {

namespace {

// Room for some hundred ends; the system gives at most net.core.rmem_max.
constexpr int kBuffer = 1 << 20;
constexpr std::uint32_t kPortAt = NLMSG_HDRLEN + offsetof(inet_diag_msg, id) + offsetof(inet_diag_sockid, idiag_sport);

constexpr std::uint32_t group(int number) noexcept {
  return 1U << (number - 1);
}

bool let_through(int socket, std::span<const std::uint16_t> ports) noexcept {
  std::vector<sock_filter> code{BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kPortAt)};
  for (const std::uint16_t port : ports) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

bool subscribe(int socket) noexcept {
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_groups = group(SKNLGRP_INET_TCP_DESTROY) | group(SKNLGRP_INET6_TCP_DESTROY);
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0;
}

std::optional<TcpEnd> end_of(const char* packet, std::size_t size) noexcept {
  nlmsghdr header;
  if (size < NLMSG_LENGTH(sizeof(inet_diag_msg))) return {};
  std::memcpy(&header, packet, sizeof header);
  if (header.nlmsg_len > size || header.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return {};
  const auto& message = *reinterpret_cast<const inet_diag_msg*>(packet + NLMSG_HDRLEN);
  const auto info = tcp_info_of(message, header.nlmsg_len - NLMSG_HDRLEN);
  if (!info) return {};
  return TcpEnd{.cookie = cookie_of(message),
                .received = info->tcpi_bytes_received,
                .unread = message.idiag_rqueue,
                .acked = info->tcpi_bytes_acked,
                .sent = info->tcpi_bytes_sent - info->tcpi_bytes_retrans};
}

}  // namespace

// The client's FIN. If ours was acknowledged and the client closed first, its FIN has come. If we closed first, it may
// have come to what is left of the socket, which does not count it any more; but then nothing was unread at our close,
// which would have been a reset, and what is unread now is the FIN. In a reset none of the two has usually been sent.
Bytes bytes_of(const TcpEnd& end, bool we_closed, std::uint32_t header) noexcept {
  const bool our_fin_acked = end.acked > end.sent;
  const std::uint64_t their_fin = !our_fin_acked ? 0 : we_closed ? std::min<std::uint64_t>(end.unread, 1) : 1;
  const std::uint64_t not_data = header + their_fin;
  return {.in = end.received - std::min(end.received, not_data), .out = std::min(end.acked, end.sent)};
}

TcpEnds::TcpEnds(std::span<const std::uint16_t> ports) noexcept
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)) {
  if (!socket_) return;
  (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
  if (!let_through(socket_.get(), ports) || !subscribe(socket_.get())) socket_ = {};
}

std::optional<TcpEnd> TcpEnds::next() noexcept {
  alignas(8) char packet[2048];
  while (socket_) {
    const ssize_t got = ::recv(socket_.get(), packet, sizeof packet, MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) continue;  // some were lost
    if (got < 0) return {};
    if (const auto end = end_of(packet, static_cast<std::size_t>(got))) return end;
  }
  return {};
}

}  // namespace bulkhead::ipc
