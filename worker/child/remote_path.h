// The name that a Unix client has bound its end to, if any: "/path", or "@name" in the abstract namespace (unix(7)).
// Any bytes but NUL, as the client chose them.
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <string_view>

#include "worker/ipc/peer.h"

namespace bulkhead::child {

class RemotePath {
 public:
  // Asks the kernel, for a peer of AF_UNIX only.
  RemotePath(int connection, const ipc::Peer& peer) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {address_.sun_path, length_}; }

 private:
  sockaddr_un address_{};
  std::size_t length_ = 0;
};

}  // namespace bulkhead::child
