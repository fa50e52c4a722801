// A listener's side of its connection table: limits, counts, the master's orders to the workers, and its renewal.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "master/net/listener.h"
#include "worker/sys/clock.h"

namespace bulkhead::net {

namespace {

// Room to grow into by a reload; slots that were never used cost no memory.
constexpr std::uint32_t kLeastRoom = 65'536;
constexpr std::uint32_t kGrowth = 16;
constexpr std::size_t kFewOrders = 64;
constexpr std::size_t kOrdersAtOnce = 1000;
constexpr std::size_t kSlotsAtOnce = 128;
// The uses of a table that is recreated begin this far above those of the one before.
constexpr std::uint32_t kUsesOfTable = 1U << 26;
constexpr std::uint32_t kAllUses = 1U << 31;

ipc::Shape shape_of(const config::Listener& config) {
  const config::Rate& rate = config.max_connection_rate;
  const std::uint32_t room =
      std::max(kLeastRoom, std::min(config.max_connections, ipc::kMaxConnections / kGrowth) * kGrowth);
  return {config.max_connections, rate.count, rate.per.count(), std::max(room, config.max_connections)};
}

ipc::MasterWord adopted(std::uint32_t use) noexcept {
  ipc::MasterWord word;
  word.use = use;
  word.wish = ipc::MasterWord::Wish::adopted;
  return word;
}

bool frees(const ipc::MasterWord& word) noexcept {
  return word.wish == ipc::MasterWord::Wish::release || word.wish == ipc::MasterWord::Wish::end;
}

// What `table` says of the connection, if it is the same; the rest is the master's own knowledge.
ipc::Slot slot_of(const ipc::TableView& table, const ipc::KeptUse& kept) {
  auto copy = table.copy(kept.index);
  if (!copy || copy->use != kept.use) copy = ipc::Slot{};
  copy->use = kept.use;
  copy->state = kept.state;
  copy->pid = kept.pid;
  copy->owner = 0;
  copy->source = ipc::kNoSource;
  return *copy;
}

}  // namespace

void Listener::take_limits(const config::Listener& config) noexcept {
  limits_ = shape_of(config);
  most_slots_ = std::max(most_slots_, limits_.capacity);
}

std::optional<sys::Error> Listener::make_table() {
  take_limits(config_);
  auto memfd = ipc::create_table(limits_);
  if (!memfd) return memfd.error();
  auto table = ipc::TableView::map(memfd->get(), ipc::room_of(limits_));
  if (!table) return table.error();
  bell_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell_) return sys::Error{"eventfd", path_, errno};
  table_fd_ = std::move(*memfd);
  table_ = std::move(*table);
  table_.write(lease_, total_);
  return std::nullopt;
}

void Listener::grant(const ipc::Lease& lease, std::uint32_t total) noexcept {
  if (std::exchange(lease_is_known_, true) && lease == lease_ && total == total_) return;
  lease_is_new_ = lease_is_new_ || (lease.holds && !lease_.holds);
  lease_ = lease;
  total_ = total;
  table_.write(lease, total);
}

std::uint32_t Listener::places_taken() noexcept {
  if (lease_is_new_) lease_is_new_ = table_.is_locked();  // a worker that takes the lock later reads the lease
  const std::uint32_t taken = table_.places_taken() + (lease_is_new_ ? 1 : 0);
  return taken - std::min(taken, places_about_to_be_free());
}

// By orders that no worker has carried out.
std::uint32_t Listener::places_about_to_be_free() const {
  if (workers_ == 0) return open_.freed;
  if (orders_.size() > kFewOrders) return 0;
  return static_cast<std::uint32_t>(std::ranges::count_if(orders_, [this](const auto& one) {
    return frees(one.second.word) && table_.is_open(one.first, one.second.word);
  }));
}

void Listener::ring() const noexcept {
  const std::uint64_t once = 1;
  (void)!::write(bell_.get(), &once, sizeof once);
}

std::optional<sys::Error> Listener::begin_renewing(std::vector<ipc::KeptUse> kept) {
  ipc::Shape shape = limits_;
  shape.room = table_.room().slots;
  auto memfd = ipc::create_table(shape);
  if (!memfd) return memfd.error();
  ipc::TableRoom room = ipc::room_of(shape);
  room.first_use = (table_.room().first_use + kUsesOfTable) & (kAllUses - 1);
  auto table = ipc::TableView::map(memfd->get(), room);
  if (!table) return table.error();
  ipc::Counts counts = this->counts();
  counts.used = static_cast<std::uint32_t>(kept.size());  // until a worker repairs it
  if (!ipc::fill_table(memfd->get(), room, {}, counts)) return sys::Error{"write", "connection table", errno};
  renewal_.emplace(Renewal{std::move(*memfd), std::move(*table), counts, std::move(kept), 0, {}});
  return std::nullopt;
}

sys::Result<bool> Listener::go_on_renewing() {
  Renewal& renewal = *renewal_;
  const std::int64_t began = sys::monotonic_ns();
  std::vector<ipc::KeptSlot> batch;
  while (renewal.next < renewal.kept.size() && sys::monotonic_ns() - began < sys::kSlice) {
    batch.clear();
    for (; batch.size() < kSlotsAtOnce && renewal.next < renewal.kept.size(); ++renewal.next) {
      const ipc::KeptUse& one = renewal.kept[renewal.next];
      batch.push_back({one.index, slot_of(table_, one)});
      renewal.table.write(one.index, adopted(one.use));
    }
    if (!ipc::fill_table(renewal.memfd.get(), renewal.table.room(), batch, renewal.counts)) {
      renewal_.reset();
      return sys::Error{"write", "connection table", errno};
    }
  }
  if (renewal.next < renewal.kept.size()) return false;
  finish_renewing();
  return true;
}

// A connection that has ended since the renewal began is still recorded as open in the new table.
void Listener::finish_renewing() {
  Renewal done = std::move(*renewal_);
  renewal_.reset();
  const std::map<std::uint32_t, Order> before = std::exchange(orders_, {});
  open_ = {};
  table_ = std::move(done.table);
  table_fd_ = std::move(done.memfd);
  table_.write(lease_, total_);
  for (const std::uint32_t slot : done.ordered) order(slot, before.at(slot).word);
}

const ipc::Counts& Listener::counts() const {
  const std::optional<ipc::Counts> counts = table_.counts();  // first: an end that is carried out now is seen once
  if (workers_ == 0) return tally_.update(counts, open_);
  OpenEnds open;  // as far as nobody has carried them out by now; of many, none: what only grows does not go back
  if (orders_.size() > kFewOrders) return tally_.update(counts, open);
  for (const auto& [slot, order] : orders_) {
    if (table_.is_open(slot, order.word)) count(open, order, 1);
  }
  return tally_.update(counts, open);
}

void Listener::count(OpenEnds& ends, const Order& order, std::uint32_t by) noexcept {
  if (frees(order.word)) ends.freed += by;
  if (!order.serving) return;
  ends.serving += by;
  if (order.word.wish != ipc::MasterWord::Wish::release) ends.ended += by;
  if (order.word.count == ipc::EndCount::crashed) ends.crashed += by;
  if (order.word.count == ipc::EndCount::client_gone) ends.client_gone += by;
}

void Listener::order(std::uint32_t slot, const ipc::MasterWord& word) {
  constexpr std::uint32_t kOneLess = 0xffffffff;
  if (renewal_) renewal_->ordered.push_back(slot);
  const auto before = orders_.find(slot);
  const auto copy = table_.copy(slot);
  const Order order{word, copy && copy->use == word.use && copy->state == ipc::SlotState::serving};
  if (before != orders_.end()) count(open_, before->second, kOneLess);
  table_.write(slot, word);
  orders_[slot] = order;
  count(open_, order, 1);
}

bool Listener::has_ended(std::uint32_t slot, std::uint32_t use) const {
  const auto found = orders_.find(slot);
  return found != orders_.end() && found->second.word.use == use && found->second.word.is_order();
}

void Listener::adopt(std::uint32_t slot, std::uint32_t use) noexcept {
  table_.write(slot, adopted(use));
}

std::optional<ipc::Collect> Listener::to_collect() const {
  if (orders_.empty()) return wants_repair_ ? std::optional(ipc::Collect{}) : std::nullopt;
  auto last = orders_.begin();
  for (std::size_t i = 1; i < kOrdersAtOnce && std::next(last) != orders_.end(); ++i) ++last;
  return ipc::Collect{orders_.begin()->first, last->first + 1};
}

void Listener::collected(const ipc::Collect& range) {
  if (range.first == range.end) wants_repair_ = false;
  constexpr std::uint32_t kOneLess = 0xffffffff;
  for (auto at = orders_.lower_bound(range.first); at != orders_.end() && at->first < range.end;) {
    const bool open = table_.is_open(at->first, at->second.word);
    if (!open) count(open_, at->second, kOneLess);
    at = open ? std::next(at) : orders_.erase(at);
  }
}

}  // namespace bulkhead::net
