// The lines about the ends of connections, with the bytes that went in and out (count_bytes). The kernel says these
// when it frees a socket, which is a moment after the handler has closed it, or long before its process ends. A line
// waits for that at most 200 ms, because the last acknowledgement of a client that stays may take 40 ms (tcp(7),
// delayed acknowledgements); nothing else does.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "worker/ipc/connection_log.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/ipc/tcp_ends.h"
#include "worker/ipc/tcp_look.h"
#include "worker/loop/loop.h"

namespace bulkhead::worker {

class EndBytes {
 public:
  EndBytes(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table);

  // The connection of this slot has a process.
  void begun(std::uint32_t slot);
  // Its process has ended; the slot may be free already, so this is a copy of it. Writes the line, now or soon, with
  // the bytes or without them; none if it is not `logged`.
  void ended(std::uint64_t id, const ipc::Slot& slot, const ipc::Ended& how, std::int64_t now_ns, bool logged);
  // Before the worker exits: waits for what lines still wait for.
  void finish();

 private:
  struct Line {
    std::uint64_t id = 0;
    ipc::Slot slot;
    ipc::Ended how;
    std::int64_t now_ns = 0;
  };
  struct Open {
    std::uint32_t slot = 0;
    bool we_closed = false;
    std::optional<ipc::TcpEnd> end;  // what the kernel has said
    std::optional<Line> line;        // what waits for it: the process has ended
  };
  struct Due {
    std::int64_t when_ns;
    std::uint64_t cookie;
  };

  void read();
  void take(const ipc::TcpEnd& end);
  void on_due();
  void give_up(std::int64_t now_ns);
  void write(Line& line, const Open& open);
  [[nodiscard]] bool has_closed_first(const ipc::Slot& slot, const ipc::Ended& how) noexcept;

  const char* path_;
  ipc::Table& table_;
  ipc::TcpDiag sockets_;
  ipc::TcpEnds ends_;
  loop::Poll poll_;
  loop::Timer timer_;
  std::unordered_map<std::uint64_t, Open> open_;  // by cookie: serving, or with a line that waits
  std::deque<Due> due_;                           // the next one first; its line may have been written
};

}  // namespace bulkhead::worker
