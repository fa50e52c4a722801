#include "master/ctl/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace bulkhead::ctl {

sys::Result<Client> Client::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return sys::Error{"connect to", path, ENAMETOOLONG};
  std::memcpy(address.sun_path, path.data(), path.size());
  sys::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return sys::Error{"connect to", path, errno};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return sys::Error{"connect to", path, errno};
  }
  return Client(std::move(fd));
}

bool Client::is_trusted() const noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool Client::is_readable(const std::optional<std::chrono::steady_clock::time_point>& deadline) const {
  using std::chrono::steady_clock;
  if (input_.find('\n', searched_) != std::string::npos) return true;
  for (;;) {
    std::int64_t left = -1;
    if (deadline)
      left = std::max<std::int64_t>(
          0, std::chrono::ceil<std::chrono::milliseconds>(*deadline - steady_clock::now()).count());
    pollfd news{fd_.get(), POLLIN, 0};
    constexpr std::int64_t kLongest = 3'600'000;
    const int ready = poll(&news, 1, static_cast<int>(std::min(left, kLongest)));
    if (ready > 0) return true;
    if (ready == 0 && deadline && steady_clock::now() >= *deadline) return false;
  }
}

std::optional<std::string> Client::read_line() {
  for (;;) {
    if (const std::size_t end = input_.find('\n', searched_); end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      searched_ = 0;
      return line;
    }
    searched_ = input_.size();
    std::array<char, 64 * 1024> buffer;
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    input_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace bulkhead::ctl
