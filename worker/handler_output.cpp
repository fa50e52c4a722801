#include "worker/handler_output.h"

#include <algorithm>

#include "worker/ipc/message.h"
#include "worker/sys/clock.h"

namespace bulkhead::worker {

HandlerOutput::HandlerOutput(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, Connections& connections)
    : header_(plan.header()),
      table_(table),
      connections_(connections),
      reader_(ipc::kErrorReadFd, plan.string(header_.listener_path), header_.log_rate_limit,
              [this](pid_t leader) { return find(leader); }),
      poll_(loop, ipc::kErrorReadFd, [this] { on_readable(); }),
      pause_(loop, [this] { poll_.start(); }) {
  for (std::uint32_t index = 0; index < table_.high_water(); ++index) {
    const ipc::Slot& slot = table_.slot(index);
    const bool taken = slot.state == ipc::SlotState::serving || slot.state == ipc::SlotState::ending;
    if (taken && slot.worker == header_.worker && slot.pid > 1) predecessors_.push_back({slot.pid, index, slot.use});
  }
  std::sort(predecessors_.begin(), predecessors_.end(),
            [](const Predecessor& a, const Predecessor& b) { return a.leader < b.leader; });
  connections_.watch_output([this] { reader_.drain(sys::monotonic_ns()); },
                            [this](std::uint64_t id) { reader_.output().end(id); });
  poll_.start();
}

void HandlerOutput::on_readable() {
  if (!reader_.turn(sys::monotonic_ns())) return;
  poll_.stop();
  pause_.start(ipc::ErrorReader::kSlice);
}

ipc::Origin HandlerOutput::origin(pid_t leader, std::uint32_t slot) {
  const ipc::Slot& found = table_.slot(slot);
  return {leader, ipc::connection_id(found.use, header_.listener, slot), found.peer};
}

std::optional<ipc::Origin> HandlerOutput::find(pid_t leader) {
  if (const std::uint32_t slot = connections_.slot_of(leader); slot != kNoEntry) return origin(leader, slot);
  const auto left = std::lower_bound(predecessors_.begin(), predecessors_.end(), leader,
                                     [](const Predecessor& one, pid_t pid) { return one.leader < pid; });
  if (left == predecessors_.end() || left->leader != leader) return std::nullopt;
  const ipc::Slot& slot = table_.slot(left->slot);
  if (slot.use != left->use || slot.state == ipc::SlotState::free) return std::nullopt;
  return origin(leader, left->slot);
}

void HandlerOutput::finish() {
  poll_.stop();
  pause_.stop();
  reader_.output().end_all();
}

}  // namespace bulkhead::worker
