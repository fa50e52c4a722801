#include "worker/connection_watch.h"

#include <algorithm>
#include <chrono>

#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

// In one turn, so that thousands of them do not hold up who wants to connect: about a millisecond.
constexpr int kLooksInTurn = 200;

}  // namespace

ConnectionWatch::ConnectionWatch(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, OnEnd on_end)
    : header_(plan.header()), table_(table), on_end_(std::move(on_end)), timer_(loop, [this] { on_due(); }) {}

// Nothing can be due before the shortest of its limits has passed.
void ConnectionWatch::begun(std::uint32_t index) {
  const ipc::Slot& slot = table_.slot(index);
  std::int64_t first = slot.deadline_ns;
  if (ipc::is_watched(slot, header_.on_client_gone)) {
    ipc::TcpLook fresh;
    fresh.state = ipc::TcpLook::State::open;
    if (const std::int64_t next = ipc::judge(slot, fresh, header_.on_client_gone, slot.started_ns).next_ns; next != 0)
      ipc::attention::sooner(first, next);
  }
  if (first == 0) return;
  const bool sooner = due_.empty() || first < due_.begin()->first;
  look_later(index, first);
  if (sooner) arm();
}

void ConnectionWatch::ended(std::uint32_t index) {
  const auto found = due_of_.find(index);
  if (found == due_of_.end()) return;
  due_.erase({found->second, index});
  due_of_.erase(found);
}

void ConnectionWatch::look_later(std::uint32_t index, std::int64_t when_ns) {
  due_.emplace(when_ns, index);
  due_of_[index] = when_ns;
}

void ConnectionWatch::on_due() {
  const std::int64_t now = sys::monotonic_ns();
  for (int i = 0; i < kLooksInTurn && !due_.empty() && due_.begin()->first <= now; ++i) {
    const std::uint32_t index = due_.begin()->second;
    ended(index);
    look_at(index, now);
  }
  arm();
}

void ConnectionWatch::look_at(std::uint32_t index, std::int64_t now_ns) {
  const ipc::Slot& slot = table_.slot(index);
  if (slot.deadline_ns != 0 && slot.deadline_ns <= now_ns) return on_end_(index, ipc::EndCause::max_lifetime, now_ns);
  std::int64_t next = slot.deadline_ns;
  if (ipc::is_watched(slot, header_.on_client_gone)) {
    const ipc::Judgement found = ipc::judge(slot, sockets_.look(slot), header_.on_client_gone, now_ns);
    if (found.cause != ipc::EndCause::none) return on_end_(index, found.cause, now_ns);
    if (found.next_ns != 0) ipc::attention::sooner(next, found.next_ns);
  }
  if (next != 0) look_later(index, next);
}

void ConnectionWatch::arm() {
  if (due_.empty()) return timer_.stop();
  timer_.start(std::chrono::nanoseconds(std::max<std::int64_t>(due_.begin()->first - sys::monotonic_ns(), 0)));
}

}  // namespace bulkhead::worker
