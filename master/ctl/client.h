// A blocking client of the control socket, for programs that have nothing else to do meanwhile.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ctl {

class Client {
 public:
  // Errors: connect(2)'s; ENAMETOOLONG when the path does not fit into an address.
  [[nodiscard]] static sys::Result<Client> connect(const std::string& path);

  // Waits as long as the daemon takes it. What cannot be sent is no error yet: the daemon may have said why before it
  // closed, and that is still to be read.
  void send(std::string_view bytes);
  // The next line without its newline; nothing when the daemon has closed the connection. Waits for ever.
  [[nodiscard]] std::optional<std::string> read_line();

 private:
  explicit Client(sys::Fd fd) : fd_(std::move(fd)) {}

  sys::Fd fd_;
  std::string input_;
  std::size_t searched_ = 0;
};

}  // namespace bulkhead::ctl
