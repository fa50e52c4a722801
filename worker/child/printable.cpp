#include "worker/child/printable.h"

namespace bulkhead::child {

bool printable(std::string_view bytes, char* out, std::size_t size) noexcept {
  static constexpr char kHex[] = "0123456789abcdef";
  std::size_t length = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && c != '\\' && !(length == 0 && c == '(');
    if (length + (plain ? 1 : 4) >= size) return false;
    if (plain) {
      out[length++] = c;
      continue;
    }
    out[length++] = '\\';
    out[length++] = 'x';
    out[length++] = kHex[byte >> 4];
    out[length++] = kHex[byte & 15];
  }
  out[length] = '\0';
  return length != 0;
}

}  // namespace bulkhead::child
