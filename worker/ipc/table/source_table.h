// The sources of a listener's connections: how many each has now, its rate, its penalty. A part of the connection table
// (worker/ipc/table/table.h): the same memory, the same lock, and Table is the only one that calls in here.
//
//   heads ──hash──▶ source ──▶ source …     found in one step, however many there are
//   idle list       sources without connection and penalty, the one idle for longest first: these make room
//   two heaps       the penalised ones of IPv4 (and Unix users) and of IPv6, the next to be forgiven on top
//
// Its size is bounded. At the bounds:
//   connections   room for a source for every slot, so that every connection is counted
//   penalties     at most max_sources4 and max_sources6; beyond, `overflow` says whether the one that would end soonest
//                 is forgotten (permissive) or no new source is admitted or penalised until one ends (deny_all)
//   rates         room for kRemembered idle sources; beyond, the one idle for longest begins with a full bucket again
// A source without connection, penalty and used-up rate makes room at once, so the touched memory grows with the others
// only.
//
// Only each source's key, penalty and rate, and each slot's source, are authoritative; these change by single stores or
// in an order that leaves a half-written source vacant. The rest (chains, list, heaps, counts) is rebuilt from them
// after a holder of the lock was killed. No index is followed before it is checked and no loop relies on the memory to
// end it. The master does not use this code: it reads copies (worker/ipc/table_view.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/admission/source_rules.h"
#include "worker/ipc/source_layout.h"

namespace bulkhead::ipc {

struct Slot;

// The question about the source of a connection.
struct SourceQuestion {
  SourceKey key;
  const admission::SourceRules* rules = nullptr;  // null: nothing is asked
  std::uint32_t max_connections = admission::kUnlimited;
  bool exempt = false;                    // from penalties
  const admission::Rate* rate = nullptr;  // in place of that of `rules`

  [[nodiscard]] const admission::Rate& rate_of_it() const noexcept { return rate != nullptr ? *rate : rules->rate; }
};

// The answer of judge(), for enter() and for the log.
struct SourceAnswer {
  admission::SourceVerdict verdict = admission::SourceVerdict::admitted;
  bool would_refuse = false;         // penalties in mode log
  std::uint32_t source = kNoSource;  // it is known
  std::uint32_t connections = 0;     // it has now
  admission::Penalty penalty;        // none where all of the family are denied
  std::int64_t rate_full_at_ns = 0;  // once it is admitted
};

// The outcome of penalise(), for the log.
struct Penalised {
  bool began = false;      // from now on the source is refused
  bool forgotten = false;  // no room: this one was not kept
  std::int64_t until_ns = 0;
};

class Sources {
 public:
  Sources() = default;
  // `memory` is what SourceLayout says. The room is ours, so that no change of the shared memory moves a bound.
  [[nodiscard]] static Sources map(void* memory, std::uint32_t slots, const SourceRoom& room) noexcept;

  // Under the lock.

  // Decides on a connection; nothing is counted yet.
  [[nodiscard]] SourceAnswer judge(const SourceQuestion& question, std::int64_t now_ns) noexcept;
  // Counts an admitted connection, judged under the same hold of the lock. The caller stores the source in the slot.
  [[nodiscard]] std::uint32_t enter(const SourceKey& key, const SourceAnswer& answer, std::int64_t now_ns) noexcept;
  // The connection is over, its slot free.
  void leave(std::uint32_t source) noexcept;
  // The connection, which is still counted, ended in an offence.
  Penalised penalise(std::uint32_t source, const admission::Charge& charge, const admission::PenaltyRules& rules,
                     std::int64_t now_ns) noexcept;
  // Forgets the penalties of all sources within `prefix`; returns how many.
  std::uint32_t forgive(const SourceKey& prefix) noexcept;

  // A holder of the lock was killed: rebuilds all from the sources and the first `count` slots, whose states and list
  // are right again. A slot that names no source counts for none from now on.
  void recover(Slot* slots, std::uint32_t count) noexcept;
  // Counts the connections of the first `count` slots that do not count for their source: they began when nothing was
  // asked of sources, or a source had another prefix.
  void count_others(Slot* slots, std::uint32_t count, const admission::SourceRules& rules,
                    std::int64_t now_ns) noexcept;
  // For tests: whether recover() would change nothing.
  [[nodiscard]] bool consistent(const Slot* slots, std::uint32_t count) const;

  // For tests: how many sources are looked at to find this one; how many ever took memory.
  [[nodiscard]] std::uint32_t probes(const SourceKey& key) const noexcept;
  [[nodiscard]] std::uint32_t touched() const noexcept;

 private:
  using Header = SourcesHeader;
  // A binary heap of the sources of one family that are penalised.
  struct Heap {
    std::uint32_t* sources;
    std::uint32_t& count;
  };

  [[nodiscard]] bool exists(std::uint32_t source) const noexcept;
  // The unused first one for what does not exist, so that nothing outside is ever touched.
  [[nodiscard]] Source& at(std::uint32_t source) const noexcept;
  [[nodiscard]] std::uint32_t& head_of(const SourceKey& key) const noexcept;
  [[nodiscard]] std::uint32_t find(const SourceKey& key) const noexcept;
  [[nodiscard]] std::uint32_t add(const SourceKey& key, std::int64_t now_ns) noexcept;
  [[nodiscard]] std::uint32_t make_room(std::int64_t now_ns) noexcept;
  void chain(std::uint32_t source) noexcept;
  void unchain(std::uint32_t source) noexcept;
  void idle(std::uint32_t source) noexcept;
  void not_idle(std::uint32_t source) noexcept;

  [[nodiscard]] Heap heap_of(const SourceKey& key) const noexcept;
  [[nodiscard]] std::int64_t until(const Heap& heap, std::uint32_t position) const noexcept;
  void put(const Heap& heap, std::uint32_t position, std::uint32_t source) noexcept;
  void sift_up(const Heap& heap, std::uint32_t position) noexcept;
  void sift_down(const Heap& heap, std::uint32_t position) noexcept;
  void settle(const Heap& heap, std::uint32_t place) noexcept;
  void forget_next(const Heap& heap) noexcept;
  void forget_over(std::int64_t now_ns) noexcept;
  [[nodiscard]] bool make_room_in(const Heap& heap, const admission::PenaltyRules& rules, std::uint32_t limit,
                                  std::int64_t until_ns) noexcept;

  Header* header_ = nullptr;
  std::uint32_t* heads_ = nullptr;
  std::uint32_t* heaps_ = nullptr;  // one after the other
  Source* sources_ = nullptr;       // the first one, index 0, is never used
  std::uint32_t heads_count_ = 0;   // a power of two
  std::uint32_t capacity_ = 0;      // sources, the unused one counted
  std::uint32_t penalised_ = 0;     // room in each heap
};

}  // namespace bulkhead::ipc
