#include "worker/handlers/built_in.h"

namespace bulkhead::handlers {

ipc::ExitCode discard(Client& client) noexcept {
  char buffer[64 * 1024];
  bool any = false;
  while (client.discard(buffer, sizeof buffer) > 0) any = true;
  return any || client.how() != ipc::ExitCode::done ? client.how() : ipc::ExitCode::no_input;
}

}  // namespace bulkhead::handlers
