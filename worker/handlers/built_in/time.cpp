#include <sys/syscall.h>
#include <time.h>

#include "worker/handlers/built_in.h"
#include "worker/sys/raw.h"

namespace bulkhead::handlers {

std::uint32_t rfc868_seconds(std::int64_t unix_seconds) noexcept {
  constexpr std::int64_t kFrom1900To1970 = 2'208'988'800;
  return static_cast<std::uint32_t>(unix_seconds + kFrom1900To1970);
}

ipc::ExitCode time(Client& client) noexcept {
  timespec now{};
  sys::raw(SYS_clock_gettime, CLOCK_REALTIME, sys::raw_pointer(&now));
  const std::uint32_t seconds = rfc868_seconds(now.tv_sec);
  const char bytes[] = {static_cast<char>(seconds >> 24), static_cast<char>(seconds >> 16),
                        static_cast<char>(seconds >> 8), static_cast<char>(seconds)};
  if (client.write(bytes, sizeof bytes)) client.finish();
  return client.how();
}

}  // namespace bulkhead::handlers
