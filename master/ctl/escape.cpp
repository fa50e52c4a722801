#include "master/ctl/escape.h"

#include "worker/log/utf8.h"

namespace bulkhead::ctl {

std::string escaped(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t shown = log::shown_length(bytes);
    if (shown != 0) {
      out += bytes.substr(0, shown);
    } else {
      const auto byte = static_cast<unsigned char>(bytes.front());
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
    bytes.remove_prefix(shown == 0 ? 1 : shown);
  }
  return out;
}

}  // namespace bulkhead::ctl
