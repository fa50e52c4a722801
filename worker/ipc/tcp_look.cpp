#include "worker/ipc/tcp_look.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "worker/ipc/tcp_info.h"

namespace bulkhead::ipc {

namespace {

// The kernel's numbers of states, include/net/tcp_states.h, which linux/tcp.h does not have.
enum TcpState : std::uint8_t {
  kEstablished = 1,
  kFinWait1 = 4,
  kFinWait2 = 5,
  kTimeWait = 6,
  kClose = 7,
  kCloseWait = 8,
  kLastAck = 9,
  kListen = 10,
  kClosing = 11
};

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

void put_address(const SocketEnd& end, __be32* out) noexcept {
  std::memcpy(out, end.address, end.family == AF_INET ? 4 : 16);
}

SocketEnd remote_end(const Slot& slot) noexcept {
  return socket_end(slot.real_peer.family == AF_UNSPEC ? slot.peer : slot.real_peer);
}
SocketEnd local_end(const Slot& slot) noexcept {
  return slot.real_local.family == AF_UNSPEC ? socket_end(slot.local) : slot.real_local;
}

bool is_tcp(const Slot& slot) noexcept {
  const std::uint16_t family = remote_end(slot).family;
  return (family == AF_INET || family == AF_INET6) && local_end(slot).family == family;
}

Request request_for(const Slot& slot, std::uint32_t sequence) noexcept {
  Request out{};
  out.header.nlmsg_len = sizeof out;
  out.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  out.header.nlmsg_flags = NLM_F_REQUEST;
  out.header.nlmsg_seq = sequence;
  const SocketEnd remote = remote_end(slot);
  const SocketEnd local = local_end(slot);
  out.body.sdiag_family = static_cast<std::uint8_t>(remote.family);
  out.body.sdiag_protocol = IPPROTO_TCP;
  out.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  out.body.idiag_states = ~0U;
  out.body.id.idiag_sport = htons(local.port);
  out.body.id.idiag_dport = htons(remote.port);
  put_address(local, out.body.id.idiag_src);
  put_address(remote, out.body.id.idiag_dst);
  out.body.id.idiag_if = slot.device;
  // Any cookie: a socket that waits for the last segments has another one, and its state identifies it.
  out.body.id.idiag_cookie[0] = out.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return out;
}

TcpLook::State state_of(std::uint8_t state, bool same) noexcept {
  using State = TcpLook::State;
  switch (state) {
    case kEstablished: return same ? State::open : State::gone;
    case kCloseWait: return same ? State::client_closed : State::gone;
    case kLastAck: return same ? State::client_closed : State::gone;
    case kFinWait1:
    case kFinWait2:
    case kTimeWait:
    case kClosing: return State::we_closed;
    default: return State::gone;  // only the listening socket is left, or it is being destroyed
  }
}

void read_info(TcpLook& out, const inet_diag_msg& message, std::size_t size) noexcept {
  const auto info = tcp_info_of(message, size);
  if (!info) return;
  const std::uint32_t idle_ms = std::min(info->tcpi_last_data_sent, info->tcpi_last_data_recv);
  out.idle_ns = std::int64_t{idle_ms} * 1'000'000;
  out.received = info->tcpi_bytes_received;
  out.sent = info->tcpi_bytes_acked;
}

template <class T>
T option_of(int socket, int option) noexcept {
  T value{};
  socklen_t length = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &length) == 0 ? value : T{};
}

}  // namespace

TcpDiag::TcpDiag() noexcept
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)) {}

TcpLook TcpDiag::look(const Slot& slot) noexcept {
  if (slot.cookie == 0 || !is_tcp(slot) || !socket_) return {};
  const Request request = request_for(slot, ++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent = ::sendto(socket_.get(), &request, sizeof request, MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent != sizeof request) return {};
  // The kernel answers before sendto() returns. What is left of an earlier question is passed over.
  alignas(8) char answer[2048];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), answer, sizeof answer, MSG_DONTWAIT);
    if (got < static_cast<ssize_t>(sizeof(nlmsghdr))) return {};
    nlmsghdr header;
    std::memcpy(&header, answer, sizeof header);
    if (header.nlmsg_seq != sequence_) continue;
    TcpLook out;
    if (header.nlmsg_type == NLMSG_ERROR) {
      nlmsgerr error{};
      if (got >= static_cast<ssize_t>(NLMSG_LENGTH(sizeof error)))
        std::memcpy(&error, answer + NLMSG_HDRLEN, sizeof error);
      if (error.error == -ENOENT) out.state = TcpLook::State::gone;
      return out;
    }
    if (header.nlmsg_len > static_cast<std::size_t>(got) || header.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg)))
      return out;
    const auto& message = *reinterpret_cast<const inet_diag_msg*>(answer + NLMSG_HDRLEN);
    out.state = state_of(message.idiag_state, cookie_of(message) == slot.cookie);
    if (out.has_figures()) read_info(out, message, header.nlmsg_len - NLMSG_HDRLEN);
    if (out.state == TcpLook::State::client_closed && out.received != 0) --out.received;  // the kernel counts a FIN
    return out;
  }
}

std::uint64_t tcp_cookie(int connection) noexcept {
  return option_of<int>(connection, SO_PROTOCOL) == IPPROTO_TCP ? option_of<std::uint64_t>(connection, SO_COOKIE) : 0;
}

std::uint32_t device_of(int connection) noexcept {
  return option_of<std::uint32_t>(connection, SO_BINDTOIFINDEX);
}

}  // namespace bulkhead::ipc
