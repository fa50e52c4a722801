#include "worker/end_bytes.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

constexpr std::int64_t kWait = 200'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;

std::vector<std::uint16_t> ports_of(const ipc::PlanHeader& header) {
  std::vector<std::uint16_t> out;
  for (std::uint32_t i = 0; i < std::min(header.sockets, ipc::kMaxSockets); ++i) out.push_back(header.local[i].port);
  return out;
}

// A built-in that ends the connection shuts down its side, and reads until the client's FIN (Client::finish).
bool has_read_to_end(const ipc::Ended& how) noexcept {
  return how.built_in && ipc::outcome_of(how) == ipc::Outcome::normal;
}

}  // namespace

EndBytes::EndBytes(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table)
    : path_(plan.string(plan.header().listener_path)),
      table_(table),
      ends_(ports_of(plan.header())),
      poll_(loop, ends_.fd(), [this] { read(); }),
      timer_(loop, [this] { on_due(); }) {
  if (ends_) poll_.start();
}

void EndBytes::begun(std::uint32_t slot) {
  if (const std::uint64_t cookie = table_.slot(slot).cookie; ends_ && cookie != 0) open_[cookie].slot = slot;
}

void EndBytes::ended(std::uint64_t id, const ipc::Slot& slot, const ipc::Ended& how, std::int64_t now_ns, bool logged) {
  read();
  const auto found = open_.find(slot.cookie);
  Line line{id, slot, how, now_ns};
  const bool known = found != open_.end();
  if (!known || !logged || found->second.end) {
    if (logged) write(line, known ? found->second : Open{});
    if (known) open_.erase(found);
    return;
  }
  found->second.we_closed = has_closed_first(slot, how);
  found->second.line = line;
  if (due_.empty()) timer_.start(std::chrono::nanoseconds(kWait));
  due_.push_back({now_ns + kWait, slot.cookie});
}

void EndBytes::finish() {
  for (;;) {
    const std::int64_t now = sys::monotonic_ns();
    give_up(now);
    if (due_.empty()) return;
    pollfd ready{ends_.fd(), POLLIN, 0};
    (void)::poll(&ready, 1, static_cast<int>((due_.front().when_ns - now) / kMillisecond) + 1);
    read();
  }
}

void EndBytes::read() {
  while (const auto end = ends_.next()) take(*end);
}

// Other workers' connections have the same ports.
void EndBytes::take(const ipc::TcpEnd& end) {
  const auto found = open_.find(end.cookie);
  if (found == open_.end()) return;
  Open& open = found->second;
  open.end = end;
  if (!open.line) {
    open.we_closed = has_closed_first(table_.slot(open.slot), {});
    return;
  }
  write(*open.line, open);
  open_.erase(found);
}

void EndBytes::on_due() {
  read();
  const std::int64_t now = sys::monotonic_ns();
  give_up(now);
  if (!due_.empty()) timer_.start(std::chrono::nanoseconds(due_.front().when_ns - now));
}

// Forgets, too, those in front whose line has been written.
void EndBytes::give_up(std::int64_t now_ns) {
  for (; !due_.empty(); due_.pop_front()) {
    const auto found = open_.find(due_.front().cookie);
    if (found == open_.end()) continue;
    if (due_.front().when_ns > now_ns) return;
    write(*found->second.line, found->second);
    open_.erase(found);
  }
}

void EndBytes::write(Line& line, const Open& open) {
  const bool without_fin = open.we_closed && !has_read_to_end(line.how);
  if (open.end) line.how.bytes = ipc::bytes_of(*open.end, without_fin, line.slot.header);
  ipc::log_connection_ended(path_, line.id, line.slot, line.how, line.now_ns);
}

bool EndBytes::has_closed_first(const ipc::Slot& slot, const ipc::Ended& how) noexcept {
  if (how.closed_by != ipc::ClosedBy::unknown) return how.closed_by == ipc::ClosedBy::handler;
  return sockets_.look(slot).state == ipc::TcpLook::State::we_closed;
}

}  // namespace bulkhead::worker
