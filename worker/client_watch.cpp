#include "worker/client_watch.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

// For how long an unnamed event may explain an end. The handler's descriptors are closed a moment before it is a
// zombie.
constexpr std::int64_t kFresh = 20'000'000;
constexpr int kBatch = 64;

std::uint64_t name_of(std::uint32_t slot, std::uint32_t use) noexcept {
  return std::uint64_t{use} << 32 | slot;
}

}  // namespace

ClientWatch::ClientWatch(loop::Loop& loop, ipc::Table& table)
    : table_(table),
      set_(epoll_create1(EPOLL_CLOEXEC)),
      poll_(loop, set_.get(), [this] { look(sys::monotonic_ns()); }) {
  if (!set_) return;
  if (syscall(SYS_io_setup, 1, &context_) != 0) context_ = 0;
  arm();
  poll_.start();
}

ClientWatch::~ClientWatch() {
  if (context_ != 0) syscall(SYS_io_destroy, context_);
}

void ClientWatch::add(int connection, std::uint32_t slot) noexcept {
  epoll_event event{};
  event.events = EPOLLRDHUP | EPOLLET;
  event.data.u64 = name_of(slot, table_.slot(slot).use);
  if (set_) epoll_ctl(set_.get(), EPOLL_CTL_ADD, connection, &event);
}

void ClientWatch::arm() noexcept {
  if (context_ == 0 || armed_) return;
  iocb poll{};
  poll.aio_lio_opcode = IOCB_CMD_POLL;
  poll.aio_fildes = static_cast<std::uint32_t>(set_.get());
  poll.aio_buf = EPOLLIN;
  iocb* list = &poll;
  armed_ = syscall(SYS_io_submit, context_, 1, &list) == 1;
}

void ClientWatch::look(std::int64_t now_ns) noexcept {
  if (!set_) return;
  epoll_event events[kBatch];
  int count = kBatch;
  while (count == kBatch) {
    count = epoll_wait(set_.get(), events, kBatch, 0);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t name = events[i].data.u64;
      const auto index = static_cast<std::uint32_t>(name);
      if (index >= table_.room()) continue;
      ipc::Slot& slot = table_.slot(index);
      if (name == name_of(index, slot.use) && slot.state == ipc::SlotState::serving) slot.client_left = 1;
    }
  }
  if (!armed_) return arm();
  io_event done;
  timespec at_once{};
  if (syscall(SYS_io_getevents, context_, 0, 1, &done, &at_once) != 1) return;
  armed_ = false;
  unnamed_ns_ = now_ns;
  arm();
}

// The state of its socket says most: one that waits for the client's last segments was closed by the handler. But a
// socket that was closed with bytes unread vanishes at once, as one does that its client has reset.
ipc::ClosedBy ClientWatch::who_closed(std::uint32_t index, std::int64_t now_ns) noexcept {
  look(now_ns);
  const ipc::Slot& slot = table_.slot(index);
  const bool left = slot.client_left != 0 || (unnamed_ns_ != 0 && now_ns - unnamed_ns_ < kFresh);
  return ipc::closed_by(diag_.look(slot).state, left ? ipc::ClosedBy::client : ipc::ClosedBy::unknown);
}

}  // namespace bulkhead::worker
