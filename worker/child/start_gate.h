// Holds a forked child until its worker has entered it into the table. clone(2) could write the pid itself
// (CLONE_PARENT_SETTID), but a child that runs other people's libraries has to come from fork(3): their atfork handlers
// reseed random number generators and free locks.
//
// Shared memory, one word per slot, mapped in the children. A child whose worker dies before it is let through ends, so
// that every process that serves is in the table.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bulkhead::child {

class StartGate {
 public:
  // Ends the process if memory is lacking: a worker that is starting has no connections.
  explicit StartGate(std::uint32_t slots);

  void close(std::uint32_t slot) noexcept;            // worker, before the fork
  void open(std::uint32_t slot, pid_t pid) noexcept;  // worker, once the pid is in the table
  // Child: returns true once it is let through, false when `worker` is gone. Unmaps the memory.
  [[nodiscard]] bool pass(std::uint32_t slot, pid_t worker) noexcept;

 private:
  std::atomic<std::int32_t>* words_;
  std::size_t size_;
};

}  // namespace bulkhead::child
