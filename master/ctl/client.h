// A blocking client of the control socket, for programs that have nothing else to do while they wait.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ctl {

class Client {
 public:
  // Errors: those of connect(2); ENAMETOOLONG when the path does not fit into an address.
  [[nodiscard]] static sys::Result<Client> connect(const std::string& path);

  // Whether a process of root or of the calling user listens there.
  [[nodiscard]] bool is_trusted() const noexcept;

  // Blocks until the daemon has taken it. A failure to send is not reported: the daemon may have sent a reason before
  // it closed the connection, and read_line() still returns that.
  void send(std::string_view bytes);
  // The next line without its newline; empty when the daemon has closed the connection. Waits without a limit.
  [[nodiscard]] std::optional<std::string> read_line();
  // Waits until read_line() has something to return, or most of it. False: the deadline has passed.
  [[nodiscard]] bool is_readable(const std::optional<std::chrono::steady_clock::time_point>& deadline) const;

 private:
  explicit Client(sys::Fd fd) : fd_(std::move(fd)) {}

  sys::Fd fd_;
  std::string input_;
  std::size_t searched_ = 0;
};

}  // namespace bulkhead::ctl
