#include "worker/handlers/built_in.h"

namespace bulkhead::handlers {

namespace {

// Apart, so that what all children of the usual handler run through stays together.
[[gnu::cold]] ipc::ExitCode serve_another(ipc::HandlerKind kind, Client& client) noexcept {
  switch (kind) {
    case ipc::HandlerKind::discard: return discard(client);
    case ipc::HandlerKind::daytime: return daytime(client);
    case ipc::HandlerKind::chargen: return chargen(client);
    case ipc::HandlerKind::time: return time(client);
    case ipc::HandlerKind::echo:
    case ipc::HandlerKind::exec:
    case ipc::HandlerKind::module:
    case ipc::HandlerKind::count_: break;
  }
  return ipc::ExitCode::done;
}

}  // namespace

[[gnu::hot]] ipc::ExitCode serve(ipc::HandlerKind kind, Client& client) noexcept {
  return kind == ipc::HandlerKind::echo ? echo(client) : serve_another(kind, client);
}

}  // namespace bulkhead::handlers
