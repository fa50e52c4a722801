#include "worker/ipc/table/source_table.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <new>
#include <utility>
#include <vector>

#include "worker/ipc/table/table_header.h"

namespace bulkhead::ipc {

using admission::Penalty;

namespace {

constexpr int kForgetAtOnce = 64;

bool is_ipv6(const SourceKey& key) noexcept {
  return key.family == AF_INET6;
}

std::uint32_t max_sources(const admission::PenaltyRules& rules, const SourceKey& key) noexcept {
  return is_ipv6(key) ? rules.max_sources6 : rules.max_sources4;
}

}  // namespace

Sources Sources::map(void* memory, std::uint32_t slots, const SourceRoom& room) noexcept {
  const SourceLayout layout(slots, room);
  auto* const bytes = static_cast<char*>(memory);
  Sources out;
  out.header_ = reinterpret_cast<Header*>(bytes);
  out.heads_ = reinterpret_cast<std::uint32_t*>(bytes + layout.heads_at);
  out.heaps_ = reinterpret_cast<std::uint32_t*>(bytes + layout.heaps_at);
  out.sources_ = reinterpret_cast<Source*>(bytes + layout.sources_at);
  out.heads_count_ = layout.heads;
  out.capacity_ = layout.sources;
  out.penalised_ = room.penalised;
  return out;
}

bool Sources::exists(std::uint32_t source) const noexcept {
  return source != kNoSource && source < touched() + 1;
}

Source& Sources::at(std::uint32_t source) const noexcept {
  return sources_[exists(source) ? source : kNoSource];
}

std::uint32_t Sources::touched() const noexcept {
  return std::clamp(header_->fresh, 1U, capacity_) - 1;
}

// Chains.

std::uint32_t& Sources::head_of(const SourceKey& key) const noexcept {
  return heads_[hash_of(header_->key, key) & (heads_count_ - 1)];
}

std::uint32_t Sources::find(const SourceKey& key) const noexcept {
  std::uint32_t left = capacity_;
  for (std::uint32_t source = head_of(key); exists(source) && left-- > 0; source = at(source).next) {
    if (at(source).key == key) return source;
  }
  return kNoSource;
}

std::uint32_t Sources::probes(const SourceKey& key) const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t source = head_of(key); exists(source); source = at(source).next) {
    ++count;
    if (at(source).key == key) break;
  }
  return count;
}

void Sources::chain(std::uint32_t source) noexcept {
  std::uint32_t& head = head_of(at(source).key);
  at(source).next = head;
  head = source;
}

void Sources::unchain(std::uint32_t source) noexcept {
  std::uint32_t left = capacity_;
  for (std::uint32_t* link = &head_of(at(source).key); exists(*link) && left-- > 0; link = &at(*link).next) {
    if (*link != source) continue;
    *link = at(source).next;
    return;
  }
}

// The idle list.

void Sources::idle(std::uint32_t source) noexcept {
  Source& self = at(source);
  self.newer = kNoSource;
  self.older = header_->newest;
  (exists(self.older) ? at(self.older).newer : header_->oldest) = source;
  header_->newest = source;
}

void Sources::not_idle(std::uint32_t source) noexcept {
  Source& self = at(source);
  (exists(self.older) ? at(self.older).newer : header_->oldest) = self.newer;
  (exists(self.newer) ? at(self.newer).older : header_->newest) = self.older;
  self.older = kNoSource;
  self.newer = kNoSource;
}

// A vacant source. There is always one: slots and heaps together have fewer.
std::uint32_t Sources::make_room(std::int64_t now_ns) noexcept {
  const std::uint32_t oldest = header_->oldest;
  const bool forgettable = exists(oldest) && at(oldest).rate_full_at_ns <= now_ns;
  if (!forgettable && header_->fresh < capacity_) return header_->fresh++;
  if (!exists(oldest)) return kNoSource;
  not_idle(oldest);
  if (at(oldest).key.family != 0) unchain(oldest);
  at(oldest).key.family = 0;  // until the end of add() it is vacant to a process that repairs
  return oldest;
}

std::uint32_t Sources::add(const SourceKey& key, std::int64_t now_ns) noexcept {
  const std::uint32_t source = make_room(now_ns);
  if (source == kNoSource) return kNoSource;
  Source blank;
  blank.key = key;
  blank.key.family = 0;
  order();
  at(source) = blank;
  order();
  at(source).key.family = key.family;
  order();
  chain(source);
  return source;
}

// The heaps.

Sources::Heap Sources::heap_of(const SourceKey& key) const noexcept {
  const std::uint32_t which = is_ipv6(key) ? 1 : 0;
  std::uint32_t& count = header_->penalised[which];
  if (count > penalised_) count = penalised_;
  return {heaps_ + std::size_t{which} * penalised_, count};
}

std::int64_t Sources::until(const Heap& heap, std::uint32_t position) const noexcept {
  return Penalty(at(heap.sources[position]).penalty).until_ns();
}

void Sources::put(const Heap& heap, std::uint32_t position, std::uint32_t source) noexcept {
  heap.sources[position] = source;
  at(source).place = position + 1;
}

void Sources::sift_up(const Heap& heap, std::uint32_t position) noexcept {
  while (position > 0) {
    const std::uint32_t parent = (position - 1) / 2;
    if (until(heap, parent) <= until(heap, position)) return;
    const std::uint32_t source = heap.sources[position];
    put(heap, position, heap.sources[parent]);
    put(heap, parent, source);
    position = parent;
  }
}

void Sources::sift_down(const Heap& heap, std::uint32_t position) noexcept {
  for (;;) {
    std::uint32_t soonest = position;
    for (std::uint32_t child = 2 * position + 1; child <= 2 * position + 2; ++child) {
      if (child < heap.count && until(heap, child) < until(heap, soonest)) soonest = child;
    }
    if (soonest == position) return;
    const std::uint32_t source = heap.sources[position];
    put(heap, position, heap.sources[soonest]);
    put(heap, soonest, source);
    position = soonest;
  }
}

void Sources::settle(const Heap& heap, std::uint32_t place) noexcept {
  if (place == 0 || place > heap.count) return;
  sift_up(heap, place - 1);
  sift_down(heap, place - 1);
}

// The penalty that ends next is over, or given up.
void Sources::forget_next(const Heap& heap) noexcept {
  const std::uint32_t source = heap.sources[0];
  const std::uint32_t last = --heap.count;
  at(source).place = 0;
  at(source).penalty = 0;
  if (at(source).connections == 0) idle(source);
  if (last == 0) return;
  put(heap, 0, heap.sources[last]);
  sift_down(heap, 0);
}

void Sources::forget_over(std::int64_t now_ns) noexcept {
  for (const std::uint16_t family : {std::uint16_t{AF_INET}, std::uint16_t{AF_INET6}}) {
    const Heap heap = heap_of({family, 0, {}});
    for (int i = 0; i < kForgetAtOnce && heap.count > 0 && until(heap, 0) <= now_ns; ++i) forget_next(heap);
  }
}

bool Sources::make_room_in(const Heap& heap, const admission::PenaltyRules& rules, std::uint32_t limit,
                           std::int64_t until_ns) noexcept {
  limit = std::min(limit, penalised_);
  if (heap.count < limit) return true;
  if (limit == 0 || rules.overflow == admission::Overflow::deny_all || until_ns <= until(heap, 0)) return false;
  while (heap.count >= limit) forget_next(heap);
  return true;
}

SourceAnswer Sources::judge(const SourceQuestion& question, std::int64_t now_ns) noexcept {
  forget_over(now_ns);
  const SourceKey& key = question.key;
  const admission::SourceRules& rules = *question.rules;
  SourceAnswer out;
  admission::SourceState state;
  out.source = find(key);
  if (out.source != kNoSource) {
    state.connections = out.connections = at(out.source).connections;
    state.penalty = out.penalty = Penalty(at(out.source).penalty);
    state.rate_full_at_ns = at(out.source).rate_full_at_ns;
  }
  state.overflow = heap_of(key).count >= std::min(max_sources(rules.penalties, key), penalised_);
  const auto decision =
      admission::decide(state, rules, question.max_connections, question.exempt, now_ns, question.rate);
  out.verdict = decision.verdict;
  out.would_refuse = decision.would_refuse;
  out.rate_full_at_ns = decision.rate_full_at_ns;
  return out;
}

std::uint32_t Sources::enter(const SourceKey& key, const SourceAnswer& answer, std::int64_t now_ns) noexcept {
  const std::uint32_t index = answer.source != kNoSource ? answer.source : add(key, now_ns);
  Source& source = at(index);
  if (answer.source != kNoSource && source.connections == 0 && source.place == 0) not_idle(index);
  source.rate_full_at_ns = answer.rate_full_at_ns;
  ++source.connections;
  return index;
}

void Sources::leave(std::uint32_t index) noexcept {
  Source& source = at(index);
  if (!exists(index) || source.connections == 0) return;
  if (--source.connections == 0 && source.place == 0) idle(index);
}

Penalised Sources::penalise(std::uint32_t index, const admission::Charge& charge, const admission::PenaltyRules& rules,
                            std::int64_t now_ns) noexcept {
  if (!exists(index) || charge.duration_ns <= 0) return {};
  forget_over(now_ns);
  Source& source = at(index);
  const Penalty before(source.penalty);
  const Penalty after = admission::add(before, charge, rules, now_ns);
  const Heap heap = heap_of(source.key);
  if (source.place == 0) {
    if (!make_room_in(heap, rules, max_sources(rules, source.key), after.until_ns())) return {false, true, 0};
    source.penalty = after.word();
    put(heap, heap.count, index);
    ++heap.count;
  }
  source.penalty = after.word();
  settle(heap, source.place);
  return {after.active() && !before.refuses(now_ns), false, after.until_ns()};
}

std::uint32_t Sources::forgive(const SourceKey& prefix) noexcept {
  const Heap heap = heap_of(prefix);
  const std::uint32_t before = heap.count;
  std::uint32_t kept = 0;
  for (std::uint32_t position = 0; position < before; ++position) {
    const std::uint32_t index = heap.sources[position];
    if (!within(at(index).key, prefix)) {
      put(heap, kept++, index);
      continue;
    }
    at(index).place = 0;
    at(index).penalty = 0;
    if (at(index).connections == 0) idle(index);
  }
  heap.count = kept;
  for (std::uint32_t position = kept / 2; position-- > 0;) sift_down(heap, position);
  return before - kept;
}

void Sources::recover(Slot* slots, std::uint32_t count) noexcept {
  const std::uint32_t last = touched();
  if (last == 0) return;
  std::fill_n(heads_, heads_count_, kNoSource);
  header_->oldest = header_->newest = kNoSource;
  header_->penalised[0] = header_->penalised[1] = 0;
  for (std::uint32_t index = 1; index <= last; ++index) {
    Source& source = at(index);
    source.connections = source.next = source.older = source.newer = source.place = 0;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (slots[i].state == SlotState::free) continue;
    if (exists(slots[i].source) && at(slots[i].source).key.family != 0) {
      ++at(slots[i].source).connections;
    } else {
      slots[i].source = kNoSource;
    }
  }
  for (std::uint32_t index = 1; index <= last; ++index) {
    Source& source = at(index);
    if (source.key.family != 0) chain(index);
    const Heap heap = heap_of(source.key);
    if (source.key.family != 0 && source.penalty != 0 && heap.count < penalised_) {
      put(heap, heap.count, index);
      ++heap.count;
      sift_up(heap, heap.count - 1);
    } else {
      source.penalty = 0;
      if (source.connections == 0) idle(index);
    }
  }
}

void Sources::count_others(Slot* slots, std::uint32_t count, const admission::SourceRules& rules,
                           std::int64_t now_ns) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    Slot& slot = slots[i];
    if (slot.state != SlotState::serving && slot.state != SlotState::ending) continue;  // others have no client yet
    const SourceKey key = source_of(slot.peer, rules.prefix4, rules.prefix6);
    if (key.family == 0 || (exists(slot.source) && at(slot.source).key == key)) continue;
    leave(slot.source);
    SourceAnswer known;
    known.source = find(key);
    if (known.source != kNoSource) known.rate_full_at_ns = at(known.source).rate_full_at_ns;
    slot.source = enter(key, known, now_ns);
  }
}

bool Sources::consistent(const Slot* slots, std::uint32_t count) const {
  const std::uint32_t last = touched();
  std::vector<std::uint32_t> connections(last + 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (slots[i].state != SlotState::free && exists(slots[i].source)) ++connections[slots[i].source];
  }
  std::uint32_t idle_ones = 0;
  std::uint32_t penalised = 0;
  for (std::uint32_t index = 1; index <= last; ++index) {
    const Source& source = at(index);
    const Heap heap = heap_of(source.key);
    const bool vacant = source.key.family == 0;
    if (source.connections != connections[index] || (source.penalty != 0) != (source.place != 0)) return false;
    if (vacant ? source.connections + source.place != 0 : find(source.key) != index) return false;
    if (source.place > heap.count || (source.place != 0 && heap.sources[source.place - 1] != index)) return false;
    if (source.place > 1 && until(heap, source.place / 2 - 1) > until(heap, source.place - 1)) return false;
    if (source.place != 0) ++penalised;
    if (source.connections == 0 && source.place == 0) ++idle_ones;
  }
  std::uint32_t listed = 0;
  std::uint32_t before = kNoSource;
  for (std::uint32_t index = header_->oldest; exists(index) && listed <= last; index = at(index).newer) {
    if (at(index).older != before || at(index).connections != 0 || at(index).place != 0) return false;
    before = index;
    ++listed;
  }
  return listed == idle_ones && header_->newest == before && penalised == header_->penalised[0] + header_->penalised[1];
}

}  // namespace bulkhead::ipc
