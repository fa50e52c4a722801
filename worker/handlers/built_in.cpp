#include "worker/handlers/built_in.h"

#include <algorithm>

namespace bulkhead::handlers {

template <>
[[gnu::hot]] int serve<echo>(std::int64_t idle_timeout_ns) noexcept {
  Client client(0, idle_timeout_ns);
  return static_cast<int>(echo(client));
}

const BuiltIn* find_built_in(std::string_view name) noexcept {
  const auto* const found =
      std::find_if(kBuiltIns.begin(), kBuiltIns.end(), [name](const BuiltIn& one) { return one.name == name; });
  return found == kBuiltIns.end() ? nullptr : found;
}

}  // namespace bulkhead::handlers
