#include "worker/ipc/table/table.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "worker/ipc/table/table_header.h"

namespace bulkhead::ipc {

namespace {

// Another process may have written anything there, and a count below 0 would be a table that is full for ever.
void take_one(std::uint32_t& count) noexcept {
  if (count != 0) --count;
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
  std::swap(words_, other.words_);
  std::swap(room_, other.room_);
  return *this;
}

Table::~Table() {
  if (header_ != nullptr) munmap(header_, size_);
}

sys::Result<Table> Table::map(int memfd, const TableRoom& room) {
  auto layout = layout_in(memfd, room);
  if (!layout) return layout.error();
  void* memory = mmap(nullptr, layout->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) return sys::Error{"mmap", "connection table", errno};
  auto* const bytes = static_cast<char*>(memory);
  Table table;
  table.header_ = static_cast<Header*>(memory);
  table.size_ = layout->size;
  table.room_ = room;
  table.sources_ = Sources::map(bytes + layout->sources, room.slots, room.sources);
  table.rate_ = reinterpret_cast<std::int64_t*>(bytes + layout->rate);
  table.slots_ = reinterpret_cast<Slot*>(bytes + layout->slots);
  table.words_ = reinterpret_cast<std::atomic<std::uint64_t>*>(bytes + layout->words);
  madvise(memory, layout->size, MADV_DONTFORK);
  return table;
}

std::uint32_t Table::capacity() const noexcept {
  return std::min(header_->shape.capacity, room_.slots);
}
std::uint32_t Table::daemon_max() const noexcept {
  return static_cast<std::uint32_t>(words_[room_.slots + kTotalWord].load(std::memory_order_relaxed));
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
  const Shape shape = header.shape;
  const std::uint32_t held = header.claimed;
  if (held >= shape.rate_count || shape.rate_count > kMaxRate) return now_ns + kSoon;
  const std::int64_t last = rate_[(header.rate_next + held) % shape.rate_count];
  const std::int64_t until = last == 0 ? 0 : last + shape.rate_per_ns;
  if (until <= now_ns) return 0;
  return held == 0 ? until : std::min(until, now_ns + kSoon);
}

Grant Table::claim_locked(const Demand& demand) noexcept {
  Header& header = *header_;
  const std::int64_t until = demand.without_rate ? 0 : rate_wait(demand.now_ns);
  if (until != 0) return {kNoSlot, Refusal::rate, until};
  const std::uint32_t index = header.counts.used < header.shape.capacity ? free_one() : kNoSlot;
  if (index == kNoSlot) {
    if (demand.waits) header.waiting = 1;
    return {kNoSlot, Refusal::max_connections, 0};
  }
  if (!take_place()) {
    header.waiting = 1;  // whatever on_full is: the bell brings the answer of the master
    return {kNoSlot, Refusal::daemon_max, 0, {}, lease().exhausted};
  }
  Slot& slot = slots_[index];
  const bool fresh = index == header.fresh;
  slot.use = use_after_lift(slot.use + 1);
  slot.owner = demand.owner;
  slot.worker = demand.worker;
  slot.pid = 0;
  slot.asked = 0;
  slot.deadline_ns = 0;
  slot.lifetime = Lifetime::going_on;
  slot.cause = EndCause::none;
  slot.without_rate = demand.without_rate ? 1 : 0;
  slot.cookie = 0;
  slot.idle_timeout_ns = 0;
  slot.first_byte_ns = 0;
  slot.client_left = 0;
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
  ++header.claimed;
  return {index, Refusal::count_, 0};
}

Lease Table::lease() const noexcept {
  return lease_in(words_[room_.slots + kLeaseWord].load(std::memory_order_seq_cst));
}

// Counted before the slot is taken, and freed after it: a process that is killed in between leaves a place too many,
// until the table is repaired, and the master never sees one too few.
bool Table::take_place() noexcept {
  std::uint32_t& used = header_->counts.used;
  const Lease before = lease();
  if (!before.holds) {
    ++used;
    order();
    return true;
  }
  if (used >= before.places) return false;
  (void)__atomic_add_fetch(&used, 1, __ATOMIC_SEQ_CST);
  const Lease after = lease();
  if (!after.holds || used <= after.places) return true;
  take_one(used);
  return false;
}

// The freed one whose memory is warm, else one that was never used. What another process may have written here never
// leads out of the table, and never to a slot that is taken.
std::uint32_t Table::free_one() noexcept {
  Header& header = *header_;
  const std::uint32_t head = header.free_head;
  if (head < room_.slots && head < header.fresh && slots_[head].state == SlotState::free) return head;
  header.free_head = kNoSlot;
  while (header.fresh < room_.slots && slots_[header.fresh].state != SlotState::free) ++header.fresh;
  return header.fresh < room_.slots ? header.fresh : kNoSlot;
}

// Uses of the table before this one are not used again (TableRoom::first_use), as far as 32 bits go.
std::uint32_t Table::use_after_lift(std::uint32_t use) const noexcept {
  const bool before = room_.first_use != 0 && use - room_.first_use >= 1U << 31;
  return before ? room_.first_use : use;
}

void Table::limit(const Shape& limits) noexcept {
  const Guard guard(*this);
  Header& header = *header_;
  if (limits.rate_count != header.shape.rate_count || limits.rate_per_ns != header.shape.rate_per_ns) {
    std::fill_n(rate_, std::min(limits.rate_count, kMaxRate), 0);
    header.rate_next = 0;
  }
  header.shape.rate_per_ns = limits.rate_per_ns;
  header.shape.rate_count = std::min(limits.rate_count, kMaxRate);
  header.shape.capacity = std::min(limits.capacity, room_.slots);
}

void Table::repair(const admission::SourceRules* rules, std::int64_t now_ns) noexcept {
  const Guard guard(*this);
  recover();
  if (rules != nullptr) sources_.count_others(slots_, high_water(), *rules, now_ns);
}

std::optional<MasterWord> Table::wish(std::uint32_t slot) const noexcept {
  if (slot >= room_.slots) return std::nullopt;
  const MasterWord word = master_word(words_[slot].load(std::memory_order_acquire));
  const bool holds = word.is_order() && word.use == slots_[slot].use && slots_[slot].state != SlotState::free;
  const bool done = word.wish == MasterWord::Wish::linger && slots_[slot].state == SlotState::ending;
  return holds && !done ? std::optional(word) : std::nullopt;
}

Collected Table::collect(std::uint32_t slot, const MasterWord& word, const admission::Charge& charge,
                         const admission::PenaltyRules& rules, std::int64_t now_ns) noexcept {
  using Wish = MasterWord::Wish;
  const Guard guard(*this);
  Collected out;
  if (wish(slot) != word) return out;  // another worker was faster
  if (slot >= header_->fresh) {        // which cannot be
    header_->fresh = slot + 1;
    recover();
  }
  const SlotState state = slots_[slot].state;
  const bool counted = state != SlotState::serving;
  if (!counted && word.wish != Wish::release)
    out.penalised = sources_.penalise(slots_[slot].source, charge, rules, now_ns);
  out.done = true;
  if (word.wish == Wish::linger) {
    if (!counted) linger_locked(slot, word.count, 0);
  } else if (state == SlotState::ending) {
    out.ring = finish_locked(slot);
  } else if (word.wish == Wish::release || counted) {
    out.ring = release_locked(slot);
  } else {
    out.ring = end_locked(slot, word.count);
  }
  return out;
}

Grant Table::claim(const Demand& demand) noexcept {
  const Guard guard(*this);
  return claim_locked(demand);
}

void Table::free_slot(std::uint32_t index) noexcept {
  Slot& slot = slots_[index];
  if (slot.source != kNoSource) sources_.leave(slot.source);
  slot.next_free = header_->free_head;
  order();
  slot.state = SlotState::free;
  order();
  header_->free_head = index;
  take_one(header_->counts.used);
}

bool Table::take_waiting() noexcept {
  return std::exchange(header_->waiting, 0) != 0;
}

bool Table::release_locked(std::uint32_t slot) noexcept {
  if (slots_[slot].state == SlotState::serving) {
    take_one(header_->counts.serving);
  } else {
    take_one(header_->claimed);
  }
  free_slot(slot);
  return take_waiting();
}

bool Table::release(std::uint32_t slot) noexcept {
  const Guard guard(*this);
  return release_locked(slot);
}

void Table::serve(std::uint32_t slot) noexcept {
  const Guard guard(*this);
  const std::uint32_t count = std::min(header_->shape.rate_count, kMaxRate);
  if (count != 0 && slots_[slot].without_rate == 0) {
    // The entry first: if the process is killed between the two, the next connection overwrites the entry.
    std::uint32_t& next = header_->rate_next;
    rate_[next % count] = slots_[slot].started_ns;
    order();
    next = (next + 1) % count;
  }
  order();
  slots_[slot].state = SlotState::serving;
  take_one(header_->claimed);
  ++header_->counts.serving;
}

void Table::journal_end(std::uint32_t slot, EndCount count) noexcept {
  Header& header = *header_;
  header.journal_slot = slot;
  header.journal_completed = header.counts.completed + 1;
  header.journal_crashed = header.counts.crashed + (count == EndCount::crashed ? 1 : 0);
  header.journal_client_gone = header.counts.client_gone + (count == EndCount::client_gone ? 1 : 0);
  order();
  header.journal_open = 1;
  order();
  header.counts.completed = header.journal_completed;
  header.counts.crashed = header.journal_crashed;
  header.counts.client_gone = header.journal_client_gone;
  take_one(header.counts.serving);
}

bool Table::end_locked(std::uint32_t slot, EndCount count) noexcept {
  header_->journal_linger = 0;
  journal_end(slot, count);
  free_slot(slot);
  order();
  header_->journal_open = 0;
  return take_waiting();
}

bool Table::end(std::uint32_t slot, EndCount count) noexcept {
  const Guard guard(*this);
  return end_locked(slot, count);
}

void Table::linger_locked(std::uint32_t slot, EndCount count, std::int64_t deadline_ns) noexcept {
  slots_[slot].deadline_ns = deadline_ns;
  header_->journal_linger = 1;
  journal_end(slot, count);
  slots_[slot].state = SlotState::ending;
  order();
  header_->journal_open = 0;
}

void Table::linger(std::uint32_t slot, EndCount count, std::int64_t deadline_ns) noexcept {
  const Guard guard(*this);
  linger_locked(slot, count, deadline_ns);
}

bool Table::finish_locked(std::uint32_t slot) noexcept {
  free_slot(slot);
  return take_waiting();
}

bool Table::finish(std::uint32_t slot) noexcept {
  const Guard guard(*this);
  return finish_locked(slot);
}

bool Table::somebody_waits() const noexcept {
  return header_->waiting != 0;
}

void Table::refuse(Refusal reason) noexcept {
  const Guard guard(*this);
  ++header_->counts.refused[static_cast<std::size_t>(reason)];
}

std::uint32_t Table::high_water() const noexcept {
  if (header_ == nullptr) return 0;
  return header_->fresh < room_.slots ? header_->fresh : room_.slots;
}

Counts Table::counts() const noexcept {
  return header_ == nullptr ? Counts{} : header_->counts;
}

void Table::count_again(Counts& counts, std::uint32_t& claimed, std::uint32_t& free_head) noexcept {
  std::uint32_t serving = 0;
  std::uint32_t used = 0;
  claimed = 0;
  free_head = kNoSlot;
  for (std::uint32_t index = high_water(); index-- > 0;) {
    Slot& slot = slots_[index];
    if (slot.state == SlotState::free) {
      slot.next_free = free_head;
      free_head = index;
      continue;
    }
    ++used;
    if (slot.state == SlotState::serving) ++serving;
    if (slot.state == SlotState::claimed) ++claimed;
  }
  counts.serving = serving;
  __atomic_store_n(&counts.used, used, __ATOMIC_SEQ_CST);  // at once: the master may read it at any moment
}

// A holder of the lock was killed. `fresh` may lag behind by the one slot that was being claimed.
void Table::recover() noexcept {
  Header& header = *header_;
  while (header.fresh < room_.slots && slots_[header.fresh].state != SlotState::free) ++header.fresh;
  if (header.journal_open != 0) {
    header.counts.completed = header.journal_completed;
    header.counts.crashed = header.journal_crashed;
    header.counts.client_gone = header.journal_client_gone;
    if (header.journal_slot < room_.slots) {
      slots_[header.journal_slot].state = header.journal_linger != 0 ? SlotState::ending : SlotState::free;
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
  const Guard guard(*this);
  Counts counted;
  const Counts before = header_->counts;
  std::uint32_t length = 0;
  for (std::uint32_t at = header_->free_head; at != kNoSlot && length <= room_.slots; at = slots_[at].next_free) {
    if (at >= room_.slots || slots_[at].state != SlotState::free) return false;
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
