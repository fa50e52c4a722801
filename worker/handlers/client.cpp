#include "worker/handlers/client.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "worker/sys/raw.h"

namespace bulkhead::handlers {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kFarewell = 2 * kSecond;  // a client that has read everything answers with its own end
constexpr int kFarewellReads = 16;               // a client that continues to send is not waited for

void set_option(int connection, int option, const void* value, std::size_t size) noexcept {
  sys::raw(SYS_setsockopt, connection, SOL_SOCKET, option, sys::raw_pointer(value), static_cast<long>(size));
}

}  // namespace

[[gnu::hot]] Client::Client(int connection, std::int64_t idle_timeout_ns) noexcept
    : connection_(connection), idle_timeout_ns_(idle_timeout_ns) {
  if (idle_timeout_ns != 0) set_read_timeout(idle_timeout_ns);
}

[[gnu::hot]] void Client::set_read_timeout(std::int64_t nanoseconds) noexcept {
  // Rounded up: zero would mean none.
  const timeval limit{nanoseconds / kSecond, (nanoseconds % kSecond + 999) / 1000};
  set_option(connection_, SO_RCVTIMEO, &limit, sizeof limit);
}

[[gnu::hot]] std::size_t Client::received(long result) noexcept {
  if (result > 0) return static_cast<std::size_t>(result);
  if (result == -EAGAIN) {
    how_ = ipc::ExitCode::idle_timeout;
  } else {
    ended_ = result == 0;  // anything else is a reset, or a client that can no longer be reached
  }
  return 0;
}

[[gnu::hot]] std::size_t Client::read(char* buffer, std::size_t size) noexcept {
  for (;;) {
    const long got = sys::raw(SYS_read, connection_, sys::raw_pointer(buffer), static_cast<long>(size));
    if (got != -EINTR) return received(got);
  }
}

std::size_t Client::discard(char* buffer, std::size_t size) noexcept {
  for (;;) {
    const long got =
        sys::raw(SYS_recvfrom, connection_, sys::raw_pointer(buffer), static_cast<long>(size), MSG_TRUNC, 0);
    if (got != -EINTR) return received(got);
  }
}

bool Client::write_and_discard(const char* bytes, std::size_t length) noexcept {
  return send_all(bytes, length, true);
}

[[gnu::hot]] bool Client::write(const char* bytes, std::size_t length) noexcept {
  return send_all(bytes, length, false);
}

[[gnu::hot]] bool Client::send_all(const char* bytes, std::size_t length, bool discarding) noexcept {
  while (length > 0) {
    const long sent = sys::raw(SYS_sendto, connection_, sys::raw_pointer(bytes), static_cast<long>(length),
                               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes += sent;
      length -= static_cast<std::size_t>(sent);
    } else if (sent == -EAGAIN) {
      if (!wait_for_room(discarding)) return false;
    } else if (sent != -EINTR) {
      return false;
    }
  }
  return true;
}

// The bytes that the client's side has not taken yet: they decrease while a slow client reads, long before room is free
// again.
int Client::queued() const noexcept {
  int bytes = 0;
  sys::raw(SYS_ioctl, connection_, SIOCOUTQ, sys::raw_pointer(&bytes));
  return bytes;
}

bool Client::wait_for_room(bool discarding) noexcept {
  for (int before = queued();;) {
    timespec limit{idle_timeout_ns_ / kSecond, idle_timeout_ns_ % kSecond};  // the kernel counts it down
    pollfd ready{connection_, POLLOUT, 0};
    if (discarding && !ended_) ready.events |= POLLIN;
    const long found =
        sys::raw(SYS_ppoll, sys::raw_pointer(&ready), 1, idle_timeout_ns_ == 0 ? 0 : sys::raw_pointer(&limit), 0, 0);
    if ((ready.revents & POLLIN) != 0) throw_away();
    if (found > 0) return true;  // an error shows when it is sent to
    if (found == -EINTR) continue;
    const int now = queued();
    if (now >= before) break;
    before = now;
  }
  how_ = ipc::ExitCode::idle_timeout;
  // Bytes that the client did not take must not stay in the kernel for minutes after this process.
  const linger reset{1, 0};
  set_option(connection_, SO_LINGER, &reset, sizeof reset);
  return false;
}

void Client::throw_away() noexcept {
  char buffer[16 * 1024];
  for (;;) {
    const long got =
        sys::raw(SYS_recvfrom, connection_, sys::raw_pointer(buffer), sizeof buffer, MSG_TRUNC | MSG_DONTWAIT, 0);
    if (got > 0 || got == -EINTR) continue;
    ended_ = ended_ || got == 0;
    return;
  }
}

void Client::finish() noexcept {
  sys::raw(SYS_shutdown, connection_, SHUT_WR);
  set_read_timeout(idle_timeout_ns_ == 0 || idle_timeout_ns_ > kFarewell ? kFarewell : idle_timeout_ns_);
  char buffer[16 * 1024];
  for (int i = 0; i < kFarewellReads && discard(buffer, sizeof buffer) > 0; ++i) {
  }
  how_ = ipc::ExitCode::done;
}

}  // namespace bulkhead::handlers
