// A blocking client of the control socket, for programs that have nothing else to do while they wait.
#pragma once

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

  // Blocks until the daemon has taken it. A failure to send is not reported: the daemon may have sent a reason before
  // it closed the connection, and read_line() still returns that.
  void send(std::string_view bytes);
  // The next line without its newline; empty when the daemon has closed the connection. Waits without a limit.
  [[nodiscard]] std::optional<std::string> read_line();

 private:
  explicit Client(sys::Fd fd) : fd_(std::move(fd)) {}

  sys::Fd fd_;
  std::string input_;
  std::size_t searched_ = 0;
};

}  // namespace bulkhead::ctl
