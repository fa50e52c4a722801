#include "worker/child/remote_path.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::child {

RemotePath::RemotePath(int connection, const ipc::Peer& peer) noexcept {
  constexpr std::size_t kBefore = offsetof(sockaddr_un, sun_path);
  socklen_t length = sizeof address_;
  if (peer.family != AF_UNIX || getpeername(connection, reinterpret_cast<sockaddr*>(&address_), &length) != 0) return;
  if (length <= kBefore) return;
  const std::size_t room = std::min<std::size_t>(length - kBefore, sizeof address_.sun_path);
  if (address_.sun_path[0] != '\0') {
    length_ = strnlen(address_.sun_path, room);
    return;
  }
  // An abstract name begins with a NUL and may hold more of them; an environment holds none.
  std::replace(address_.sun_path, address_.sun_path + room, '\0', '@');
  length_ = room;
}

}  // namespace bulkhead::child
