// Handler modules: shared libraries that implement bulkhead/handler.h, in the worker of one listener. Only
// bulkhead-module-worker links the implementation; bulkhead-worker is static, has no loader, and knows this interface.
//
//   copy() ─▶ the worker becomes its user ─▶ load() ─▶ start(), per connection … ─▶ finish(), when it retires
//
// The master never calls any of this.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/confine/confine.h"
#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"

namespace bulkhead::modules {

// The parameters of serve(). The texts must live until start() returns: the child has a copy by then.
struct ModuleConnection {
  int descriptor = -1;
  std::string_view title;
  const char* id = "";
  const char* peer = "";
  const char* local = "";
  const char* const* environment = nullptr;  // as execve(2) wants it
  bool socket_as_error = false;              // descriptor 2 is the connection too
  const confine::Limits* limits = nullptr;   // taken on before serve(); null: none
};

// Why a worker cannot start, for ipc::MessageType::fail.
struct ModuleFailure {
  ipc::Stage stage = ipc::Stage::module;
  std::string text;
};

// The descriptors that children inherit besides their connection.
struct ModuleDescriptors {
  int drain = -1;
  int error = -1;
};

class Modules {
 public:
  Modules() = default;
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;
  virtual ~Modules() = default;

  // Takes private copies of the files, with the privileges that the worker begins with. Single-threaded, before the
  // loop.
  [[nodiscard]] virtual std::optional<ModuleFailure> copy(const ipc::Plan& plan) = 0;
  // Probes, loads and initialises them, each in its handler's environment, as the user that the worker has become.
  // Blocks for as long as they do. If one of them calls exit(3), the process ends here, after a Fail on the channel.
  // `slots` is the table's room.
  [[nodiscard]] virtual std::optional<ModuleFailure> load(ModuleDescriptors descriptors, std::uint32_t slots) = 0;
  // The part of the environment that all connections of that handler have, as execve(2) wants it; children have it.
  [[nodiscard]] virtual const char* const* environment(std::uint32_t handler) const noexcept = 0;
  // Forks a child that serves the connection by the plan's handler of that index, and never returns into the worker.
  // `*pid_slot` is set before the child runs any code of the module, and if this process is killed before that, the
  // child ends by itself: every process that serves is in the table. Returns the pid, or -1 and errno.
  [[nodiscard]] virtual pid_t start(std::uint32_t handler, std::uint32_t slot, const ModuleConnection& connection,
                                    std::int32_t* pid_slot) noexcept = 0;
  // Calls fini() of each module. They have one second together (SIGALRM). The process ends after it.
  virtual void finish() noexcept = 0;
};

}  // namespace bulkhead::modules
