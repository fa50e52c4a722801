// "bulkheadd: connection 2f00000003 192.0.2.7 echo": the title of a connection's process, with as much of the address
// as the log shows. Made in the worker and not in the child, where it would be a page of its own to copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "worker/child/start.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/source_key.h"
#include "worker/log/log.h"

namespace bulkhead::worker {

class ConnectionTitle {
 public:
  ConnectionTitle(std::uint64_t id, const ipc::Peer& peer, const char* handler,
                  log::Addresses shown = log::Addresses::full) noexcept {
    char hex[17];
    append("bulkheadd: connection ");
    append(ipc::hex_text(id, hex));
    append(" ");
    append_address(peer, shown);
    append(handler);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  void append_address(const ipc::Peer& peer, log::Addresses shown) noexcept {
    char address[64];
    switch (shown) {
      case log::Addresses::full:
        append(ipc::address_text(peer, address) != 0 ? address : ipc::PeerText(peer).view());
        break;
      case log::Addresses::prefix: append(ipc::SourceText(ipc::shown_prefix(peer)).view()); break;
      case log::Addresses::none: return;
    }
    append(" ");
  }
  void append(std::string_view words) noexcept {
    const std::size_t count = std::min(words.size(), sizeof text_ - length_);
    std::memcpy(text_ + length_, words.data(), count);
    length_ += count;
  }
  char text_[child::kTitleRoom];
  std::size_t length_ = 0;
};

}  // namespace bulkhead::worker
