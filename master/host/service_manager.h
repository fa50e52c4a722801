// Reports the daemon's state to the service manager with the protocol of sd_notify(3): datagrams with NAME=value lines
// to $NOTIFY_SOCKET. The protocol is small and stable (systemd's interface promise), so no library is used. Without a
// service manager every call does nothing. No call blocks: if the service manager does not read, messages are lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/sys/fd.h"

namespace bulkhead::host {

class ServiceManager {
 public:
  // Removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, so that children do not speak for the
  // daemon.
  ServiceManager();

  // The facts that this process learned about its service manager, for another program that continues in the same
  // process.
  struct Handover {
    std::string address;
    std::uint64_t interval_us = 0;  // 0: no watchdog
    std::string last_status;
  };
  [[nodiscard]] Handover hand_over() const;
  void resume(const Handover& from);

  [[nodiscard]] bool listens() const noexcept { return static_cast<bool>(socket_); }
  // How often watchdog() must be called, half of what the service manager allows; empty: it expects no watchdog
  // messages.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const noexcept { return interval_; }

  void ready() noexcept;
  void reloading() noexcept;  // sends RELOADING with MONOTONIC_USEC; ready() ends this state
  void stopping() noexcept;
  void watchdog() noexcept;
  void extend_timeout(std::chrono::microseconds by) noexcept;
  // Only sent if it differs from the last one.
  void status(std::string_view sentence) noexcept;

  // The descriptor store: the socket outlives this process under this name (letters, digits and -_. only, at most 255),
  // and returns in LISTEN_FDS. Storing a socket again is harmless.
  void store(std::string_view name, int fd) noexcept;
  void forget(std::string_view name) noexcept;

 private:
  void open();
  void send(std::string_view text, int fd = -1) noexcept;

  sys::Fd socket_;
  std::string address_;
  std::optional<std::chrono::microseconds> interval_;
  std::string last_status_;
};

}  // namespace bulkhead::host
