// What a worker does before it serves: it takes over what the master has given it (ipc/plan.h), checks it, and becomes
// the user that its connections run as. What fails is reported to the master, and the process exits.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/modules/modules.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

[[noreturn]] void cannot_start(ipc::Stage stage, int error, std::string_view text = {});

// Whether the channel to a master is open where a worker has it.
[[nodiscard]] bool started_by_master();

[[nodiscard]] ipc::Plan take_plan();
[[nodiscard]] ipc::Table take_table(const ipc::PlanHeader& header);
[[nodiscard]] std::vector<sys::Fd> take_sockets(const ipc::PlanHeader& header);

// Descriptors that were placed for us by number are not close-on-exec; our handlers must not inherit them.
void keep_descriptors(const ipc::PlanHeader& header);

// Takes on the identity, the root directory and the scope of the connections. `path`: of the listener, for the log.
void become(const ipc::Plan& plan, const char* path);

// A built-in that this program does not have comes from a master of another version.
void check_built_ins(const ipc::Plan& plan);

[[nodiscard]] bool has_module(const ipc::PlanHeader& header);
// Every process that a module starts is a descendant of ours while it starts, so that none goes unnoticed and all can
// be ended. Later those that connections leave behind become the master's.
void load(modules::Modules& modules, const ipc::PlanHeader& header, std::uint32_t slots);
// Ends the worker, and what its modules have started, if there is a failure.
void need(const std::optional<modules::ModuleFailure>& failure);

}  // namespace bulkhead::worker
