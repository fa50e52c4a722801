#include "worker/ipc/table_view.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bulkhead::ipc {

namespace {

// Times of the monotonic clock: the difference to the present one then cannot overflow.
std::int64_t at_least_zero(std::int64_t time) noexcept {
  return std::max<std::int64_t>(0, time);
}

constexpr std::size_t kBatch = 128;
constexpr int kAttempts = 16;

template <class T>
T load(const T& shared) noexcept {
  return __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}

std::size_t header_size() noexcept {
  return round_to_page(sizeof(TableHeader));
}
std::size_t words_size(const TableRoom& room) noexcept {
  return round_to_page(bytes_of_words(room));
}

// How many whole values were read.
template <class T>
std::size_t read_values(int memfd, std::size_t at, std::span<T> out) noexcept {
  const ssize_t got = pread(memfd, out.data(), out.size_bytes(), static_cast<off_t>(at));
  return got <= 0 ? 0 : static_cast<std::size_t>(got) / sizeof(T);
}

Counts read(const Counts& shared) noexcept {
  Counts out;
  out.completed = load(shared.completed);
  out.crashed = load(shared.crashed);
  out.client_gone = load(shared.client_gone);
  out.serving = load(shared.serving);
  out.used = load(shared.used);
  for (std::size_t i = 0; i < kRefusals; ++i) out.refused[i] = load(shared.refused[i]);
  return out;
}

}  // namespace

TableView::TableView(TableView&& other) noexcept {
  *this = std::move(other);
}

TableView& TableView::operator=(TableView&& other) noexcept {
  std::swap(header_, other.header_);
  std::swap(words_, other.words_);
  std::swap(memfd_, other.memfd_);
  std::swap(room_, other.room_);
  return *this;
}

TableView::~TableView() {
  if (header_ != nullptr) munmap(const_cast<TableHeader*>(header_), header_size());
  if (words_ != nullptr) munmap(words_, words_size(room_));
}

sys::Result<TableView> TableView::map(int memfd, const TableRoom& room) {
  auto layout = layout_in(memfd, room);
  if (!layout) return layout.error();
  TableView out;
  out.memfd_ = memfd;
  out.room_ = room;
  void* const header = mmap(nullptr, header_size(), PROT_READ, MAP_SHARED, memfd, 0);
  if (header == MAP_FAILED) return sys::Error{"mmap", "connection table", errno};
  out.header_ = static_cast<const TableHeader*>(header);
  void* const words =
      mmap(nullptr, words_size(room), PROT_READ | PROT_WRITE, MAP_SHARED, memfd, static_cast<off_t>(layout->words));
  if (words == MAP_FAILED) return sys::Error{"mmap", "connection table", errno};
  out.words_ = static_cast<std::uint64_t*>(words);
  return out;
}

std::optional<Counts> TableView::counts() const noexcept {
  if (header_ == nullptr) return Counts{};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const bool held = header_->lock.word.load(std::memory_order_acquire) != 0;
    const Counts first = read(header_->counts);
    const Counts second = read(header_->counts);
    if (held || std::memcmp(&first, &second, sizeof first) != 0) continue;
    Counts out = first;
    out.serving = std::min(out.serving, kMaxConnections);
    out.used = std::min(out.used, kMaxConnections);
    return out;
  }
  return std::nullopt;
}

bool TableView::somebody_waits() const noexcept {
  return header_ != nullptr && load(header_->waiting) != 0;
}

std::uint32_t TableView::high_water() const noexcept {
  return header_ == nullptr ? 0 : std::min(load(header_->fresh), room_.slots);
}

std::int64_t TableView::heartbeat_ns(std::uint32_t worker) const noexcept {
  return header_ == nullptr ? 0 : at_least_zero(load(header_->workers[worker % kMaxWorkers].heartbeat_ns));
}

std::size_t TableView::copy(std::uint32_t first, std::span<Slot> out) const noexcept {
  if (first >= room_.slots) return 0;
  const std::span<Slot> wanted = out.first(std::min<std::size_t>(out.size(), room_.slots - first));
  const std::size_t got = read_values(memfd_, TableLayout(room_).slots + first * sizeof(Slot), wanted);
  for (std::size_t i = 0; i < got; ++i) {
    const MasterWord mine = word(first + static_cast<std::uint32_t>(i));
    if (mine.wish != MasterWord::Wish::none && mine.use == wanted[i].use) wanted[i].owner = 0;
    wanted[i].started_ns = at_least_zero(wanted[i].started_ns);
    wanted[i].deadline_ns = at_least_zero(wanted[i].deadline_ns);
  }
  return got;
}

std::optional<Slot> TableView::copy(std::uint32_t index) const noexcept {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Slot first;
    Slot second;
    if (copy(index, {&first, 1}) != 1 || copy(index, {&second, 1}) != 1) return std::nullopt;
    if (first.use == second.use && first.state == second.state) return first;
  }
  return std::nullopt;
}

MasterWord TableView::word(std::uint32_t slot) const noexcept {
  return slot < room_.slots ? master_word(load(words_[slot])) : MasterWord{};
}

void TableView::write(std::uint32_t slot, const MasterWord& word) noexcept {
  if (slot < room_.slots) __atomic_store_n(&words_[slot], word_of(word), __ATOMIC_RELEASE);
}

void TableView::write(const Lease& lease, std::uint32_t total) noexcept {
  if (words_ == nullptr) return;
  __atomic_store_n(&words_[room_.slots + kTotalWord], std::uint64_t{total}, __ATOMIC_RELEASE);
  __atomic_store_n(&words_[room_.slots + kLeaseWord], word_of(lease), __ATOMIC_SEQ_CST);
}

std::uint32_t TableView::places_taken() const noexcept {
  if (header_ == nullptr) return 0;
  return std::min(__atomic_load_n(&header_->counts.used, __ATOMIC_SEQ_CST), kMaxConnections);
}

bool TableView::is_locked() const noexcept {
  return header_ != nullptr && header_->lock.word.load(std::memory_order_seq_cst) != 0;
}

bool TableView::is_open(std::uint32_t slot, const MasterWord& word) const noexcept {
  Slot now;
  if (copy(slot, {&now, 1}) != 1 || !word.is_order() || now.use != word.use) return false;
  if (word.wish == MasterWord::Wish::linger) return now.state != SlotState::ending && now.state != SlotState::free;
  return now.state != SlotState::free;
}

void TableView::penalties(std::int64_t now_ns, const std::function<void(const PenaltyRecord&)>& visit) const {
  if (header_ == nullptr) return;
  const std::size_t at = TableLayout(room_).sources;
  const SourceLayout layout(room_.slots, room_.sources);
  SourcesHeader header{};
  if (read_values(memfd_, at, std::span(&header, 1)) != 1) return;
  const std::uint32_t end = std::min(header.fresh, layout.sources);
  std::vector<Source> batch(kBatch);
  for (std::uint32_t first = 1; first < end; first += kBatch) {
    const auto wanted = std::span(batch).first(std::min<std::size_t>(kBatch, end - first));
    const std::size_t got = read_values(memfd_, at + layout.sources_at + first * sizeof(Source), wanted);
    for (const Source& source : wanted.first(got)) {
      const admission::Penalty penalty(source.penalty);
      if (source.key.family == 0 || !penalty.any() || penalty.over(now_ns)) continue;
      visit({source.key, penalty, source.connections});
    }
  }
}

bool fill_table(int memfd, const TableRoom& room, std::span<const KeptSlot> slots, const Counts& counts) noexcept {
  const TableLayout layout(room);
  TableHeader header{};
  if (read_values(memfd, 0, std::span(&header, 1)) != 1) return false;
  header.counts = counts;
  for (const KeptSlot& kept : slots) {
    if (kept.index >= room.slots) return false;
    header.fresh = std::max(header.fresh, kept.index + 1);
    const std::size_t at = layout.slots + kept.index * sizeof(Slot);
    if (pwrite(memfd, &kept.slot, sizeof(Slot), static_cast<off_t>(at)) != sizeof(Slot)) return false;
  }
  return pwrite(memfd, &header, sizeof header, 0) == sizeof header;
}

}  // namespace bulkhead::ipc
