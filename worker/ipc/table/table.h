// The connection table: one per listener, in a memfd that the master makes and keeps over restarts of workers. It is
// the truth about the listener's connections: every process reads limits, lists and counts from it.
//
// Life of a slot, and who may change it:
//
//   free ──claim──▶ claimed ──serve──▶ serving ──end──▶ free
//     ▲   (use + 1)   │                   └──linger──▶ ending ──finish──▶ free
//     └────release────┘                    (the process has ended, strays of its group have not)
//
// The worker that claimed a slot owns it until it frees it or dies; only the owner changes a slot. Once the master has
// reaped that worker, the slot is the master's, which writes one word beside it (worker/ipc/master_word.h) and has a
// worker carry that out: collect(). `use` distinguishes one connection from the next in the same slot. Counts change
// only under the lock. A holder of the lock may be killed at any instruction: the next one redoes the journal and
// recounts from the slots.
//
// This is the workers' side, the only one that takes the lock and runs these algorithms. The master, which treats all
// of it as hostile, has a view of copies: worker/ipc/table_view.h. There are no pointers in here. Times are
// CLOCK_MONOTONIC nanoseconds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/ipc/master_word.h"
#include "worker/ipc/slot.h"
#include "worker/ipc/table/robust_lock.h"
#include "worker/ipc/table/source_table.h"
#include "worker/ipc/table_layout.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

// The demand of one connection.
struct Demand {
  std::uint64_t owner = 0;    // run of the worker
  std::uint32_t worker = 0;   // its index
  std::int64_t now_ns = 0;    // only where has_rate(), or sources are asked about
  bool waits = true;          // if there is no slot: the next one freed rings the bell
  SourceQuestion source{};    // admit(); else no source is ever touched
  bool without_rate = false;  // admit(): the rate is not asked, and the connection does not count for it
};

// A slot, or why there is none.
struct Grant {
  std::uint32_t slot = kNoSlot;
  Refusal refusal = Refusal::count_;
  std::int64_t until_ns = 0;  // `rate`: when to ask again
  SourceAnswer source{};
  bool exhausted = false;  // `daemon_max`: the master has said that no places are left
};

// The outcome of collect().
struct Collected {
  bool done = false;
  bool ring = false;  // the bell
  Penalised penalised;
};

class Table {
 public:
  Table() = default;
  Table(Table&& other) noexcept;
  Table& operator=(Table&& other) noexcept;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  // Maps it; the mapping is not inherited by children (MADV_DONTFORK), so that no connection can reach the table.
  // `room` comes from the plan, never from the memory: no process can move a bound.
  [[nodiscard]] static sys::Result<Table> map(int memfd, const TableRoom& room);

  [[nodiscard]] std::uint32_t room() const noexcept { return room_.slots; }
  [[nodiscard]] const TableRoom& room_of_it() const noexcept { return room_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept;    // max_connections, as it is now
  [[nodiscard]] std::uint32_t daemon_max() const noexcept;  // daemon.max_connections, where it is set
  [[nodiscard]] bool has_rate() const noexcept;
  [[nodiscard]] Shape limits() const noexcept;  // as they are now

  // Owner's side, under the lock. The worker's forms block for the lock, which is held for some nanoseconds.

  // A slot for a connection that has not been accepted yet (`on_full: queue`), or max_connections, daemon_max or rate.
  // What the rate allows is taken by serve(), and held until then.
  [[nodiscard]] Grant claim(const Demand& demand) noexcept;
  // Decides on an accepted connection: all steps that need the table, in order. `claimed` is its slot if it has one
  // already. Where sources are asked about, the connection counts for its own until the slot is free again.
  [[nodiscard]] Grant admit(const Demand& demand, std::uint32_t claimed) noexcept;
  // No child came of it (claimed, or serving without a pid): free again, and not counted. True: ring the bell.
  [[nodiscard]] bool release(std::uint32_t slot) noexcept;
  // claimed → serving, and counted for the rate at started_ns. The caller has filled peer, local, started_ns and
  // generation; the clone that follows fills pid.
  void serve(std::uint32_t slot) noexcept;
  // serving → free, counted as completed and as `count` says. True: ring the bell.
  [[nodiscard]] bool end(std::uint32_t slot, EndCount count) noexcept;
  // serving → ending: counted as above, but the slot stays taken until finish().
  void linger(std::uint32_t slot, EndCount count, std::int64_t deadline_ns) noexcept;
  [[nodiscard]] bool finish(std::uint32_t slot) noexcept;
  void refuse(Refusal reason) noexcept;

  // Just before end() or linger(): what the ending costs the source.
  Penalised penalise(std::uint32_t slot, const admission::Charge& charge, const admission::PenaltyRules& rules,
                     std::int64_t now_ns) noexcept;

  // A worker found the table full and sleeps on the bell.
  [[nodiscard]] bool somebody_waits() const noexcept;

  // How many penalties were forgiven.
  [[nodiscard]] std::uint32_t forgive(const SourceKey& prefix) noexcept;
  // Other limits from now on, the room stays. Connections above a lower limit continue; a rate starts over if it is
  // another. Waiting workers should get a Kick.
  void limit(const Shape& limits) noexcept;
  // The first action of a worker, and one when another worker has died: rebuilds what can be rebuilt, whatever the
  // memory says. With `rules`, which the worker asks sources by, connections that others have admitted without them
  // count for their sources too.
  void repair(const admission::SourceRules* rules, std::int64_t now_ns) noexcept;

  // What the master wants done with a slot that it owns, and has not been done.
  [[nodiscard]] std::optional<MasterWord> wish(std::uint32_t slot) const noexcept;
  // Does it, unless another worker has by now. `charge` is what the ending costs the source.
  [[nodiscard]] Collected collect(std::uint32_t slot, const MasterWord& word, const admission::Charge& charge,
                                  const admission::PenaltyRules& rules, std::int64_t now_ns) noexcept;

  // Reading needs no lock: counts may be a moment old.
  [[nodiscard]] Counts counts() const noexcept;
  [[nodiscard]] std::uint32_t high_water() const noexcept;  // slots from here on were never used

  [[nodiscard]] const Sources& sources() const noexcept { return sources_; }
  [[nodiscard]] Slot& slot(std::uint32_t index) noexcept { return slots_[index]; }
  [[nodiscard]] WorkerRecord& worker(std::uint32_t index) noexcept;
  [[nodiscard]] const WorkerRecord& worker(std::uint32_t index) const noexcept;

  // For tests that kill holders of the lock: recounts from the slots and compares. True: consistent.
  [[nodiscard]] bool consistent() noexcept;
  [[nodiscard]] RobustLock& lock_of_it() noexcept;

 private:
  using Header = TableHeader;
  class Guard;  // table_header.h
  void recover() noexcept;
  [[nodiscard]] Grant claim_locked(const Demand& demand) noexcept;
  [[nodiscard]] std::uint32_t free_one() noexcept;
  [[nodiscard]] Lease lease() const noexcept;
  [[nodiscard]] bool take_place() noexcept;
  [[nodiscard]] std::uint32_t use_after_lift(std::uint32_t use) const noexcept;
  [[nodiscard]] std::int64_t rate_wait(std::int64_t now_ns) const noexcept;
  void count_again(Counts& counts, std::uint32_t& claimed, std::uint32_t& free_head) noexcept;
  void free_slot(std::uint32_t slot) noexcept;
  bool take_waiting() noexcept;
  void journal_end(std::uint32_t slot, EndCount count) noexcept;
  bool end_locked(std::uint32_t slot, EndCount count) noexcept;
  bool release_locked(std::uint32_t slot) noexcept;
  void linger_locked(std::uint32_t slot, EndCount count, std::int64_t deadline_ns) noexcept;
  bool finish_locked(std::uint32_t slot) noexcept;

  Header* header_ = nullptr;
  std::int64_t* rate_ = nullptr;  // when the last rate_count connections began; a ring, oldest at rate_next
  Slot* slots_ = nullptr;
  std::atomic<std::uint64_t>* words_ = nullptr;  // the master's, one for each slot, then those of lease.h
  Sources sources_;
  std::size_t size_ = 0;
  TableRoom room_;
};

}  // namespace bulkhead::ipc
