// A worker's reading of what its handler programs, and those of workers that had its index before it, write to their
// standard error.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/connections.h"
#include "worker/ipc/error_reader.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/loop/loop.h"

namespace bulkhead::worker {

class HandlerOutput {
 public:
  // Finds in the table the connections that earlier workers of this index left behind.
  HandlerOutput(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, Connections& connections);

  void tick(std::int64_t now_ns) { reader_.tick(now_ns); }
  // This worker exits: the next one continues to read.
  void finish();

 private:
  struct Predecessor {
    pid_t leader;
    std::uint32_t slot;
    std::uint32_t use;
  };
  void on_readable();
  [[nodiscard]] std::optional<ipc::Origin> find(pid_t leader);
  [[nodiscard]] ipc::Origin origin(pid_t leader, std::uint32_t slot);

  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  Connections& connections_;
  std::vector<Predecessor> predecessors_;  // sorted by leader
  ipc::ErrorReader reader_;
  loop::Poll poll_;
  loop::Timer pause_;
};

}  // namespace bulkhead::worker
