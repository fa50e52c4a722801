// Begins a child for an accepted connection: enters the connection into its slot, greets the client, and starts the
// handler that was chosen for it: a built-in, a program or a module. Knows nothing of the children it has started:
// Connections looks after them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "worker/arrival.h"
#include "worker/child/environment.h"
#include "worker/child/remote_path.h"
#include "worker/child/start.h"
#include "worker/confine/confine.h"
#include "worker/confine/walls.h"
#include "worker/handlers/built_in.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/log/log.h"
#include "worker/modules/modules.h"

namespace bulkhead::worker {

// The outcome for an accepted connection.
enum class Begun {
  served,     // a child has it
  shortage,   // no process can be had now (errno); slot and connection stay the caller's, who may try again
  impossible  // the handler cannot be started, which has been logged; both stay the caller's, who has to give them up
};

class Starter {
 public:
  // `modules` is null where no handler of the plan is one. `handler_error_fd` becomes descriptor 2 of programs.
  Starter(const ipc::Plan& plan, ipc::Table& table, int handler_error_fd, modules::Modules* modules);

  struct Result {
    Begun begun;
    pid_t pid;  // served: the child's, which is also in the slot; else -1
  };
  // The arrival's slot is claimed by this worker, or it is in service without a child because a process was lacking
  // before. The connection stays open here.
  [[nodiscard]] Result start(const Arrival& arrival) noexcept;

  // At least one handler is not ours, and may leave processes behind.
  [[nodiscard]] bool executes() const noexcept { return executes_; }

 private:
  // The data to start a handler of the plan.
  struct Program {
    const handlers::BuiltIn* built_in;  // else null
    std::vector<const char*>
        argv;  // the path, then as execve(2) wants them, pointers into the plan; empty for a built-in
    std::vector<const char*> environment;
  };

  void enter(const Arrival& arrival, ipc::Slot& slot) noexcept;
  [[nodiscard]] const ipc::PlanTimes& times_of(const Arrival& arrival) const noexcept;
  void note_times(const Arrival& arrival, ipc::Slot& slot) noexcept;
  void note_socket(const Arrival& arrival, ipc::Slot& slot) noexcept;
  void greet(int connection) noexcept;
  child::Started start_handler(const Arrival& arrival, ipc::Slot& slot) noexcept;
  child::Started start_built_in(const Arrival& arrival, ipc::Slot& slot) noexcept;
  child::Started start_exec(const Arrival& arrival, ipc::Slot& slot) noexcept;
  child::Started start_module(const Arrival& arrival, ipc::Slot& slot) noexcept;
  void log_failure(const Arrival& arrival, const ipc::Slot& slot, const ipc::Failure& failure) noexcept;
  // `remote_path` has to outlive the result.
  [[nodiscard]] child::ConnectionFacts facts_of(const Arrival& arrival, const ipc::Slot& slot,
                                                const child::RemotePath& remote_path) noexcept;
  [[nodiscard]] ipc::Peer own_local(const Arrival& arrival) const noexcept;
  [[nodiscard]] bool under_stress() noexcept;
  void prepare_walls();
  [[nodiscard]] bool scopes_connections() const noexcept;
  [[nodiscard]] std::uint64_t id_of(const Arrival& arrival) noexcept;

  const ipc::Plan& plan_;
  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  int handler_error_fd_;
  modules::Modules* modules_;
  confine::Limits limits_;
  // What connections reach. Rules about files that only one connection has are made in it.
  std::vector<const char*> readable_;
  std::vector<const char*> writable_;
  std::vector<const char*> executable_;
  confine::Reach reach_;
  bool own_files_ = false;
  sys::Fd walls_;                  // the rules that `limits_` names; empty: none
  std::vector<Program> programs_;  // one for each handler of the plan
  bool executes_ = false;
  std::span<const ipc::PlanRule> rules_;
  std::vector<const char*> socket_names_;
  std::string_view banner_;
  child::Environment environment_;
  log::RateLimit start_failures_;
};

}  // namespace bulkhead::worker
