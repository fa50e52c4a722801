// Tells the service manager how we are: sd_notify(3)'s protocol, datagrams of NAME=value lines to $NOTIFY_SOCKET. The
// protocol is small and stable (systemd's interface promise), so nothing is linked for it. Every call is silent when
// there is no manager, and never blocks: a manager that does not read loses our news.
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
  // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: what we start must not speak for us.
  ServiceManager();

  // What this process was told of its manager once, for another program that goes on as the same process.
  struct Handover {
    std::string address;
    std::uint64_t interval_us = 0;  // 0: no watchdog
    std::string last_status;
  };
  [[nodiscard]] Handover hand_over() const;
  void resume(const Handover& from);

  [[nodiscard]] bool listens() const noexcept { return static_cast<bool>(socket_); }
  // How often watchdog() is due, half of what the manager allows; nothing: it does not ask for one.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const noexcept { return interval_; }

  void ready() noexcept;
  void reloading() noexcept;  // RELOADING with MONOTONIC_USEC; end it with ready()
  void stopping() noexcept;
  void watchdog() noexcept;
  void extend_timeout(std::chrono::microseconds by) noexcept;
  // Sent when it differs from the last one.
  void status(std::string_view sentence) noexcept;

  // The descriptor store: the socket outlives us under this name (letters, digits and -_. only, at most 255), and comes
  // back in LISTEN_FDS. Storing what is stored already is harmless.
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
