#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "worker/ipc/table_header.h"

namespace bulkhead::ipc {

namespace {

constexpr std::uint32_t kTableMagic = 0x62684b54;
constexpr std::uint32_t kVersion = 2;

}  // namespace

std::uint64_t connection_id(std::uint32_t use, std::uint32_t listener, std::uint32_t slot) noexcept {
  return std::uint64_t{use} << 32 | std::uint64_t{listener} << 20 | slot;
}

ConnectionName connection_name(std::uint64_t id) noexcept {
  return {static_cast<std::uint32_t>(id >> 32), static_cast<std::uint32_t>(id >> 20) & 0xfff,
          static_cast<std::uint32_t>(id) & 0xfffff};
}
static_assert(kMaxConnections < 1u << 20 && kMaxListeners <= 1u << 12);

namespace {

// Header, rate, slots, sources: each part on pages of its own.
struct Layout {
  std::size_t rate;
  std::size_t slots;
  std::size_t sources;
};

Layout layout_of(const Shape& shape, std::size_t header) noexcept {
  Layout out{};
  out.rate = round_to_page(header);
  // Room for any rate: one that changes keeps its place.
  out.slots = out.rate + round_to_page(std::size_t{kMaxRate} * sizeof(std::int64_t));
  out.sources = out.slots + round_to_page(std::size_t{shape.room} * sizeof(Slot));
  return out;
}

bool is_sound(const Shape& shape) noexcept {
  return shape.room <= kMaxConnections && shape.capacity <= shape.room && shape.rate_count <= kMaxRate &&
         shape.rate_per_ns >= 0;
}

}  // namespace

Table::Table(Table&& other) noexcept {
  *this = std::move(other);
}

Table& Table::operator=(Table&& other) noexcept {
  std::swap(header_, other.header_);
  std::swap(slots_, other.slots_);
  std::swap(sources_, other.sources_);
  std::swap(rate_, other.rate_);
  std::swap(size_, other.size_);
  std::swap(shape_, other.shape_);
  return *this;
}

Table::~Table() {
  if (header_ != nullptr) munmap(header_, size_);
}

sys::Result<sys::Fd> Table::create(const Shape& wanted, const SourceRoom& room) {
  Shape shape = wanted;
  shape.room = std::max(shape.room, shape.capacity);
  sys::Fd memfd(memfd_create("bulkhead-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return sys::Error{"memfd_create", "connection table", errno};
  HashKey key;
  if (getrandom(&key, sizeof key, 0) != sizeof key) return sys::Error{"getrandom", "connection table", errno};
  const Layout layout = layout_of(shape, sizeof(Header));
  const std::size_t size = layout.sources + Sources::size_of(shape.room, room);
  if (ftruncate(memfd.get(), static_cast<off_t>(size)) != 0) return sys::Error{"ftruncate", "connection table", errno};
  fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get(), 0);
  if (memory == MAP_FAILED) return sys::Error{"mmap", "connection table", errno};
  auto* header = new (memory) Header{};
  header->magic = kTableMagic;
  header->version = kVersion;
  header->shape = shape;
  header->free_head = kNoSlot;
  Sources::create(static_cast<char*>(memory) + layout.sources, room, key);
  munmap(memory, size);
  return memfd;
}

sys::Result<Table> Table::map(int memfd) {
  struct stat status {};
  if (fstat(memfd, &status) != 0) return sys::Error{"fstat", "connection table", errno};
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < round_to_page(sizeof(Header))) return sys::Error{"map", "connection table", EINVAL};
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) return sys::Error{"mmap", "connection table", errno};
  Table table;
  table.header_ = static_cast<Header*>(memory);
  table.size_ = size;
  const Header& header = *table.header_;
  table.shape_ = header.shape;
  const sys::Error unfit{"map", "connection table", EINVAL};
  if (header.magic != kTableMagic || header.version != kVersion || !is_sound(table.shape_)) return unfit;
  const Layout layout = layout_of(table.shape_, sizeof(Header));
  if (layout.sources > size) return unfit;
  auto* const bytes = static_cast<char*>(memory);
  const auto sources = Sources::map(bytes + layout.sources, size - layout.sources, table.shape_.room);
  if (!sources) return unfit;
  table.sources_ = *sources;
  table.rate_ = reinterpret_cast<std::int64_t*>(bytes + layout.rate);
  table.slots_ = reinterpret_cast<Slot*>(bytes + layout.slots);
  madvise(memory, size, MADV_DONTFORK);
  return table;
}

std::uint32_t Table::capacity() const noexcept {
  return std::min(header_->shape.capacity, shape_.room);
}
bool Table::has_rate() const noexcept {
  return header_->shape.rate_count != 0;
}

Shape Table::limits() const noexcept {
  return header_->shape;
}

WorkerRecord& Table::worker(std::uint32_t index) noexcept {
  return header_->workers[index % kMaxWorkers];
}
const WorkerRecord& Table::worker(std::uint32_t index) const noexcept {
  return header_->workers[index % kMaxWorkers];
}

// The time at which the rate allows one more connection; 0: now. Claimed slots hold their part of the rate.
std::int64_t Table::rate_wait(std::int64_t now_ns) const noexcept {
  if (!has_rate()) return 0;
  constexpr std::int64_t kSoon = 2'000'000;  // until a claim has become a connection, or not
  const Header& header = *header_;
  const Shape& shape = header.shape;
  const std::uint32_t held = header.claimed;
  if (held >= shape.rate_count) return now_ns + kSoon;
  const std::int64_t last = rate_[(header.rate_next + held) % shape.rate_count];
  const std::int64_t until = last == 0 ? 0 : last + shape.rate_per_ns;
  if (until <= now_ns) return 0;
  return held == 0 ? until : std::min(until, now_ns + kSoon);
}

Grant Table::claim_locked(const Demand& demand) noexcept {
  Header& header = *header_;
  if (const std::int64_t until = rate_wait(demand.now_ns); until != 0) return {kNoSlot, Refusal::rate, until};
  const bool fresh = header.free_head == kNoSlot;
  if (header.counts.used >= header.shape.capacity || (fresh && header.fresh >= shape_.room)) {
    if (demand.waits) header.waiting = 1;
    return {kNoSlot, Refusal::max_connections, 0};
  }
  const std::uint32_t index = fresh ? header.fresh : header.free_head;
  Slot& slot = slots_[index];
  slot.owner = demand.owner;
  slot.worker = demand.worker;
  slot.pid = 0;
  slot.asked = 0;
  slot.deadline_ns = 0;
  slot.lifetime = Lifetime::going_on;
  slot.source = kNoSource;
  order();
  // From this store on a recount finds the slot taken, even if the list still has it.
  slot.state = SlotState::claimed;
  order();
  if (fresh) {
    ++header.fresh;
  } else {
    header.free_head = slot.next_free;
  }
  ++header.counts.used;
  ++header.claimed;
  return {index, Refusal::count_, 0};
}

bool Table::try_limit(const Shape& limits) noexcept {
  const TableGuard guard(*this, std::nothrow);
  if (!guard.held()) return false;
  Header& header = *header_;
  if (limits.rate_count != header.shape.rate_count || limits.rate_per_ns != header.shape.rate_per_ns) {
    std::fill_n(rate_, limits.rate_count, 0);
    header.rate_next = 0;
  }
  header.shape.rate_per_ns = limits.rate_per_ns;
  header.shape.rate_count = std::min(limits.rate_count, kMaxRate);
  header.shape.capacity = std::min(limits.capacity, shape_.room);
  return true;
}

Grant Table::claim(const Demand& demand) noexcept {
  const TableGuard guard(*this);
  return claim_locked(demand);
}

void Table::free_slot(std::uint32_t index) noexcept {
  Slot& slot = slots_[index];
  if (slot.source != kNoSource) sources_.leave(slot.source);
  slot.next_free = header_->free_head;
  ++slot.use;
  order();
  slot.state = SlotState::free;
  order();
  header_->free_head = index;
  --header_->counts.used;
}

bool Table::take_waiting() noexcept {
  return std::exchange(header_->waiting, 0) != 0;
}

bool Table::release_locked(std::uint32_t slot) noexcept {
  if (slots_[slot].state == SlotState::serving) {
    --header_->counts.serving;
  } else {
    --header_->claimed;
  }
  free_slot(slot);
  return take_waiting();
}

bool Table::release(std::uint32_t slot) noexcept {
  const TableGuard guard(*this);
  return release_locked(slot);
}

std::optional<bool> Table::try_release(std::uint32_t slot) noexcept {
  const TableGuard guard(*this, std::nothrow);
  if (!guard.held()) return std::nullopt;
  return release_locked(slot);
}

void Table::serve(std::uint32_t slot) noexcept {
  const TableGuard guard(*this);
  if (const std::uint32_t count = header_->shape.rate_count; count != 0) {
    // The entry first: if the process is killed between the two, the next connection overwrites the entry.
    std::uint32_t& next = header_->rate_next;
    rate_[next % count] = slots_[slot].started_ns;
    order();
    next = (next + 1) % count;
  }
  order();
  slots_[slot].state = SlotState::serving;
  --header_->claimed;
  ++header_->counts.serving;
}

void Table::journal_end(std::uint32_t slot, bool crashed) noexcept {
  Header& header = *header_;
  header.journal_slot = slot;
  header.journal_use = slots_[slot].use;
  header.journal_completed = header.counts.completed + 1;
  header.journal_crashed = header.counts.crashed + (crashed ? 1 : 0);
  order();
  header.journal_open = 1;
  order();
  header.counts.completed = header.journal_completed;
  header.counts.crashed = header.journal_crashed;
  --header.counts.serving;
}

bool Table::end_locked(std::uint32_t slot, bool crashed) noexcept {
  header_->journal_linger = 0;
  journal_end(slot, crashed);
  free_slot(slot);
  order();
  header_->journal_open = 0;
  return take_waiting();
}

bool Table::end(std::uint32_t slot, bool crashed) noexcept {
  const TableGuard guard(*this);
  return end_locked(slot, crashed);
}

std::optional<bool> Table::try_end(std::uint32_t slot, bool crashed) noexcept {
  const TableGuard guard(*this, std::nothrow);
  if (!guard.held()) return std::nullopt;
  return end_locked(slot, crashed);
}

void Table::linger_locked(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept {
  slots_[slot].deadline_ns = deadline_ns;
  header_->journal_linger = 1;
  journal_end(slot, crashed);
  slots_[slot].state = SlotState::ending;
  order();
  header_->journal_open = 0;
}

void Table::linger(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept {
  const TableGuard guard(*this);
  linger_locked(slot, crashed, deadline_ns);
}

bool Table::try_linger(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept {
  const TableGuard guard(*this, std::nothrow);
  if (guard.held()) linger_locked(slot, crashed, deadline_ns);
  return guard.held();
}

bool Table::finish_locked(std::uint32_t slot) noexcept {
  free_slot(slot);
  return take_waiting();
}

bool Table::finish(std::uint32_t slot) noexcept {
  const TableGuard guard(*this);
  return finish_locked(slot);
}

std::optional<bool> Table::try_finish(std::uint32_t slot) noexcept {
  const TableGuard guard(*this, std::nothrow);
  if (!guard.held()) return std::nullopt;
  return finish_locked(slot);
}

bool Table::somebody_waits() const noexcept {
  return header_->waiting != 0;
}

void Table::try_repair() noexcept {
  const TableGuard guard(*this, std::nothrow);
}

void Table::refuse(Refusal reason) noexcept {
  const TableGuard guard(*this);
  ++header_->counts.refused[static_cast<std::size_t>(reason)];
}

void Table::adopt(std::uint32_t slot) noexcept {
  slots_[slot].owner = 0;
}

std::uint32_t Table::high_water() const noexcept {
  if (header_ == nullptr) return 0;
  return header_->fresh < shape_.room ? header_->fresh : shape_.room;
}

Counts Table::counts() const noexcept {
  return header_ == nullptr ? Counts{} : header_->counts;
}

std::optional<Slot> Table::copy(std::uint32_t index) const noexcept {
  if (index >= shape_.room) return std::nullopt;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const Slot copy = slots_[index];
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slots_[index].use == copy.use && slots_[index].state == copy.state) return copy;
  }
  return std::nullopt;
}

void Table::count_again(Counts& counts, std::uint32_t& claimed, std::uint32_t& free_head) noexcept {
  counts.serving = 0;
  counts.used = 0;
  claimed = 0;
  free_head = kNoSlot;
  for (std::uint32_t index = high_water(); index-- > 0;) {
    Slot& slot = slots_[index];
    if (slot.state == SlotState::free) {
      slot.next_free = free_head;
      free_head = index;
      continue;
    }
    ++counts.used;
    if (slot.state == SlotState::serving) ++counts.serving;
    if (slot.state == SlotState::claimed) ++claimed;
  }
}

// A holder of the lock was killed. `fresh` may lag behind by the one slot that was being claimed.
void Table::recover() noexcept {
  Header& header = *header_;
  if (header.fresh < shape_.room && slots_[header.fresh].state != SlotState::free) ++header.fresh;
  if (header.journal_open != 0) {
    header.counts.completed = header.journal_completed;
    header.counts.crashed = header.journal_crashed;
    if (header.journal_slot < shape_.room) {
      Slot& slot = slots_[header.journal_slot];
      if (header.journal_linger != 0) {
        slot.state = SlotState::ending;
      } else if (slot.state != SlotState::free) {
        if (slot.use == header.journal_use) ++slot.use;
        slot.state = SlotState::free;
      }
    }
    header.journal_open = 0;
  }
  count_again(header.counts, header.claimed, header.free_head);
  sources_.recover(slots_, high_water());
}

RobustLock& Table::lock_of_it() noexcept {
  return header_->lock;
}

bool Table::consistent() noexcept {
  const TableGuard guard(*this);
  Counts counted;
  const Counts before = header_->counts;
  std::uint32_t length = 0;
  for (std::uint32_t at = header_->free_head; at != kNoSlot && length <= shape_.room; at = slots_[at].next_free) {
    if (at >= shape_.room || slots_[at].state != SlotState::free) return false;
    ++length;
  }
  std::uint32_t free_head = kNoSlot;
  std::uint32_t claimed = 0;
  count_again(counted, claimed, free_head);
  header_->free_head = free_head;
  if (!sources_.consistent(slots_, high_water())) return false;
  return counted.serving == before.serving && counted.used == before.used && claimed == header_->claimed &&
         length + before.used == high_water();
}

}  // namespace bulkhead::ipc
