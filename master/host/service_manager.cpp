#include "master/host/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "worker/sys/clock.h"
#include "worker/sys/fd_passing.h"

namespace bulkhead::host {

namespace {

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string out = value != nullptr ? value : "";
  unsetenv(name);
  return out;
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ServiceManager::ServiceManager() : address_(take_variable("NOTIFY_SOCKET")) {
  const std::string usec = take_variable("WATCHDOG_USEC");
  const std::string pid = take_variable("WATCHDOG_PID");
  open();
  if (!socket_) return;
  const auto microseconds = number_in(usec);
  const bool for_us = pid.empty() || number_in(pid) == static_cast<std::uint64_t>(getpid());
  if (microseconds && *microseconds > 1 && for_us) interval_ = std::chrono::microseconds(*microseconds / 2);
}

void ServiceManager::open() {
  const bool path = address_.size() > 1 && (address_[0] == '/' || address_[0] == '@');
  if (!path || address_.size() >= sizeof(sockaddr_un::sun_path)) return;
  socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

ServiceManager::Handover ServiceManager::hand_over() const {
  return {address_, interval_ ? static_cast<std::uint64_t>(interval_->count()) : 0, last_status_};
}

void ServiceManager::resume(const Handover& from) {
  address_ = from.address;
  last_status_ = from.last_status;
  if (from.interval_us != 0) interval_ = std::chrono::microseconds(from.interval_us);
  open();
}

void ServiceManager::send(std::string_view text, int fd) noexcept {
  if (!socket_) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  (void)sys::send_datagram(socket_.get(), text, fd, reinterpret_cast<const sockaddr*>(&address), length);
}

void ServiceManager::ready() noexcept {
  send(fmt::format("READY=1\nMAINPID={}", getpid()));  // with -d, the service manager started another process
}

void ServiceManager::reloading() noexcept {
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", sys::monotonic_ns() / 1000));
}

void ServiceManager::stopping() noexcept {
  send("STOPPING=1");
}

void ServiceManager::watchdog() noexcept {
  send("WATCHDOG=1");
}

void ServiceManager::extend_timeout(std::chrono::microseconds by) noexcept {
  send(fmt::format("EXTEND_TIMEOUT_USEC={}", by.count()));
}

void ServiceManager::status(std::string_view sentence) noexcept {
  if (!socket_ || sentence == last_status_) return;
  last_status_ = sentence;
  send(fmt::format("STATUS={}", sentence));
}

void ServiceManager::store(std::string_view name, int fd) noexcept {
  send(fmt::format("FDSTORE=1\nFDNAME={}", name), fd);
}

void ServiceManager::forget(std::string_view name) noexcept {
  send(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

}  // namespace bulkhead::host
