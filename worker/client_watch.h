// Which clients close or reset their connection before its handler has ended. A handler that then exits with an error
// has not crashed: its client was gone.
//
// The worker has no descriptor of a connection that a handler serves, because the handler's close would not reach the
// client then. But an epoll set keeps a place for a socket for as long as anybody has it (epoll(7)), so the worker puts
// it there before it closes its own descriptor. The place disappears with the handler, and what it had to say with it:
// a client may be gone and its handler too before the worker is scheduled. So an asynchronous poll (io_submit(2)) of
// the set itself keeps that something was in it: unnamed, yet enough for a handler that ends at that moment.
//
// For handlers that are not built in; these know themselves what their client did.
#pragma once

#include <linux/aio_abi.h>

#include <cstdint>

#include "worker/ipc/table/table.h"
#include "worker/ipc/tcp_look.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

class ClientWatch {
 public:
  ClientWatch(loop::Loop& loop, ipc::Table& table);
  ~ClientWatch();
  ClientWatch(const ClientWatch&) = delete;
  ClientWatch& operator=(const ClientWatch&) = delete;

  // The connection of this slot has a process; its descriptor is still open here. Without memory for it: not watched.
  void add(int connection, std::uint32_t slot) noexcept;
  // Its process has ended, and the slot is not free yet.
  [[nodiscard]] ipc::ClosedBy who_closed(std::uint32_t slot, std::int64_t now_ns) noexcept;

 private:
  void look(std::int64_t now_ns) noexcept;
  void arm() noexcept;

  ipc::Table& table_;
  ipc::TcpDiag diag_;
  sys::Fd set_;
  loop::Poll poll_;
  aio_context_t context_ = 0;  // 0: the system has none; only what has a name is known then
  bool armed_ = false;
  std::int64_t unnamed_ns_ = 0;  // when something was last found to have been in the set
};

}  // namespace bulkhead::worker
