#include "worker/ipc/tcp_info.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::ipc {

std::optional<tcp_info> tcp_info_of(const inet_diag_msg& message, std::size_t size) noexcept {
  const char* at = reinterpret_cast<const char*>(&message) + NLMSG_ALIGN(sizeof message);
  const char* const end = reinterpret_cast<const char*>(&message) + size;
  while (end - at >= static_cast<std::ptrdiff_t>(sizeof(rtattr))) {
    rtattr attribute;
    std::memcpy(&attribute, at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > end - at) return {};
    if (attribute.rta_type == INET_DIAG_INFO) {
      tcp_info info{};
      std::memcpy(&info, at + RTA_LENGTH(0), std::min(sizeof info, attribute.rta_len - RTA_LENGTH(0)));
      return info;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return {};
}

}  // namespace bulkhead::ipc
