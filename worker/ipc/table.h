// The connection table: one per listener, in a memfd that the master makes and keeps over restarts of workers. It is
// the truth about the listener's connections: every process reads limits, lists and counts from it.
//
// Life of a slot, and who may change it:
//
//   free ──claim──▶ claimed ──serve──▶ serving ──end──▶ free (use + 1)
//     ▲               │                   └──linger──▶ ending ──finish──▶ free (use + 1)
//     └────release────┘                    (the process has ended, strays of its group have not)
//
// The worker that claimed a slot owns it until it frees it or dies; once the master has reaped that worker, the master
// owns it (owner 0). Only the owner changes a slot. `use` distinguishes one connection from the next in the same slot.
// Counts change only under the lock. A holder of the lock may be killed at any instruction: the next one redoes the
// journal and recounts from the slots.
//
// The master treats all of it as hostile: it only try_locks, copies a slot before it looks, and checks every index and
// pid before it uses it. There are no pointers in here. Times are CLOCK_MONOTONIC nanoseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/ipc/limits.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/robust_lock.h"
#include "worker/ipc/source_table.h"
#include "worker/sys/enum_words.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

inline constexpr std::uint32_t kNoSlot = 0xffffffff;

enum class SlotState : std::uint32_t { free, claimed, serving, ending };
enum class Refusal : std::uint32_t {
  denied,
  proxy,
  proxy_timeout,
  penalty,
  per_source,
  rate_per_source,
  rate,
  max_connections,
  handler_start,
  count_
};
// How far a connection is with its max_lifetime (worker/lifetimes.h).
enum class Lifetime : std::uint32_t { going_on, terminated, killed };

inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::count_);
// The config's and the control protocol's words.
inline constexpr sys::EnumWords<Refusal> kRefusalWords{"denied",  "proxy",           "proxy_timeout",
                                                       "penalty", "per_source",      "rate_per_source",
                                                       "rate",    "max_connections", "handler_start"};
[[nodiscard]] constexpr std::string_view refusal_text(Refusal refusal) noexcept {
  return kRefusalWords.text(refusal, "unknown");
}

// The room of a table, and its listener's limits, which may change within it.
struct Shape {
  std::uint32_t capacity = 0;    // max_connections
  std::uint32_t rate_count = 0;  // max_connection_rate: so many in any window of rate_per_ns; 0: unlimited
  std::int64_t rate_per_ns = 0;
  std::uint32_t room = 0;  // slots; 0: as many as `capacity` has at the beginning
};

// The demand of one connection.
struct Demand {
  std::uint64_t owner = 0;   // run of the worker
  std::uint32_t worker = 0;  // its index
  std::int64_t now_ns = 0;   // only where has_rate(), or sources are asked about
  bool waits = true;         // if there is no slot: the next one freed rings the bell
  SourceQuestion source{};   // admit(); else no source is ever touched
};

// A slot, or why there is none.
struct Grant {
  std::uint32_t slot = kNoSlot;
  Refusal refusal = Refusal::count_;
  std::int64_t until_ns = 0;  // `rate`: when to ask again
  SourceAnswer source{};
};

struct Slot {
  std::uint32_t use = 0;
  SlotState state = SlotState::free;
  std::uint32_t next_free = kNoSlot;
  std::uint32_t worker = 0;  // index of the worker that claimed it; stays when the master adopts
  std::uint64_t owner = 0;   // run of the owning worker; 0: the master
  std::int32_t pid = 0;      // written by the kernel at clone (CLONE_PARENT_SETTID)
  std::uint32_t generation = 0;
  std::uint32_t asked = 0;           // it was signalled by us: its status does not count as a crash
  std::uint16_t handler = 0;         // number in the plan of its generation
  std::uint16_t built_in = 0;        // a built-in, whose exit status is an ExitCode
  std::uint32_t source = kNoSource;  // the one that it counts for (worker/ipc/source_table.h)
  Peer peer;                         // the client; with a PROXY header, the one that it names
  Peer local;
  Peer real_peer;  // the balancer; AF_UNSPEC: none
  std::int64_t started_ns = 0;
  // serving: when its lifetime is over, or once that was, when it gets SIGKILL; 0: never.
  // ending: when what is left of the group gets SIGKILL.
  std::int64_t deadline_ns = 0;
  Lifetime lifetime = Lifetime::going_on;
  std::uint32_t reserved = 0;
};

struct WorkerRecord {
  std::uint64_t run = 0;
  std::int64_t heartbeat_ns = 0;
  std::uint64_t accepted = 0;       // given to a child by this run
  std::uint64_t empty_accepts = 0;  // woken for nothing: another worker was faster
};

struct Counts {
  std::uint32_t serving = 0;
  std::uint32_t used = 0;  // claimed, serving and ending: what max_connections limits
  std::uint64_t completed = 0;
  std::uint64_t crashed = 0;
  std::uint64_t refused[kRefusals] = {};
};

// A connection's name for people, unique for the daemon's life: (use, listener, slot) in one number, written in hex.
[[nodiscard]] std::uint64_t connection_id(std::uint32_t use, std::uint32_t listener, std::uint32_t slot) noexcept;
struct ConnectionName {
  std::uint32_t use;
  std::uint32_t listener;
  std::uint32_t slot;
};
[[nodiscard]] ConnectionName connection_name(std::uint64_t id) noexcept;
inline constexpr std::uint32_t kMaxListeners = 4096;

class Table {
 public:
  Table() = default;
  Table(Table&& other) noexcept;
  Table& operator=(Table&& other) noexcept;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  // A fresh table in a memfd whose size is sealed. Untouched slots cost address space, not memory.
  [[nodiscard]] static sys::Result<sys::Fd> create(const Shape& shape, const SourceRoom& room = {});
  // Maps it; the mapping is not inherited by children (MADV_DONTFORK), so that no connection can reach the table.
  [[nodiscard]] static sys::Result<Table> map(int memfd);

  [[nodiscard]] std::uint32_t room() const noexcept { return shape_.room; }
  [[nodiscard]] std::uint32_t capacity() const noexcept;  // max_connections, as it is now
  [[nodiscard]] bool has_rate() const noexcept;
  [[nodiscard]] Shape limits() const noexcept;  // as they are now

  // Owner's side, under the lock. The worker's forms block for the lock, which is held for some nanoseconds.

  // A slot for a connection that has not been accepted yet (`on_full: queue`), or max_connections, or rate. What the
  // rate allows is taken by serve(), and held until then.
  [[nodiscard]] Grant claim(const Demand& demand) noexcept;
  // Decides on an accepted connection: all steps that need the table, in order. `claimed` is its slot if it has one
  // already. Where sources are asked about, the connection counts for its own until the slot is free again.
  [[nodiscard]] Grant admit(const Demand& demand, std::uint32_t claimed) noexcept;
  // No child came of it (claimed, or serving without a pid): free again, and not counted. True: ring the bell.
  [[nodiscard]] bool release(std::uint32_t slot) noexcept;
  // claimed → serving, and counted for the rate at started_ns. The caller has filled peer, local, started_ns and
  // generation; the clone that follows fills pid.
  void serve(std::uint32_t slot) noexcept;
  // serving → free, counted as completed and, where so, crashed. True: ring the bell.
  [[nodiscard]] bool end(std::uint32_t slot, bool crashed) noexcept;
  // serving → ending: counted as above, but the slot stays taken until finish().
  void linger(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept;
  [[nodiscard]] bool finish(std::uint32_t slot) noexcept;
  void refuse(Refusal reason) noexcept;

  // Just before end() or linger(): what the ending costs the source.
  Penalised penalise(std::uint32_t slot, const admission::Charge& charge, const admission::PenaltyRules& rules,
                     std::int64_t now_ns) noexcept;

  // A worker found the table full and sleeps on the bell.
  [[nodiscard]] bool somebody_waits() const noexcept;

  // The master's forms: nothing when the lock is busy (try again later).
  [[nodiscard]] std::optional<bool> try_end(std::uint32_t slot, bool crashed) noexcept;
  [[nodiscard]] std::optional<bool> try_release(std::uint32_t slot) noexcept;
  [[nodiscard]] bool try_linger(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept;
  [[nodiscard]] std::optional<bool> try_finish(std::uint32_t slot) noexcept;
  [[nodiscard]] std::optional<Penalised> try_penalise(std::uint32_t slot, const admission::Charge& charge,
                                                      const admission::PenaltyRules& rules,
                                                      std::int64_t now_ns) noexcept;
  // How many penalties were forgiven.
  [[nodiscard]] std::optional<std::uint32_t> try_forgive(const SourceKey& prefix) noexcept;
  // Repairs the table if a holder of the lock was killed, so that counts() is right although no process locks.
  void try_repair() noexcept;
  // Takes over a dead worker's slot without the lock: its owner is gone and no other process may touch it.
  void adopt(std::uint32_t slot) noexcept;

  // Other limits from now on, the room stays. Connections above a lower limit continue; a rate begins anew. False: the
  // lock is busy, try again. Waiting workers should get a Kick.
  [[nodiscard]] bool try_limit(const Shape& limits) noexcept;

  // Reading needs no lock: counts may be a moment old, a slot's copy is checked with `use`. A table that is not mapped
  // (yet) is empty.
  [[nodiscard]] Counts counts() const noexcept;
  [[nodiscard]] std::uint32_t high_water() const noexcept;  // slots from here on were never used
  [[nodiscard]] std::optional<Slot> copy(std::uint32_t slot) const noexcept;

  [[nodiscard]] const Sources& sources() const noexcept { return sources_; }
  [[nodiscard]] Slot& slot(std::uint32_t index) noexcept { return slots_[index]; }
  [[nodiscard]] WorkerRecord& worker(std::uint32_t index) noexcept;
  [[nodiscard]] const WorkerRecord& worker(std::uint32_t index) const noexcept;

  // For tests that kill holders of the lock: recounts from the slots and compares. True: consistent.
  [[nodiscard]] bool consistent() noexcept;
  [[nodiscard]] RobustLock& lock_of_it() noexcept;

 private:
  struct Header;
  friend class TableGuard;
  void recover() noexcept;
  [[nodiscard]] Grant claim_locked(const Demand& demand) noexcept;
  [[nodiscard]] std::int64_t rate_wait(std::int64_t now_ns) const noexcept;
  void count_again(Counts& counts, std::uint32_t& claimed, std::uint32_t& free_head) noexcept;
  void free_slot(std::uint32_t slot) noexcept;
  bool take_waiting() noexcept;
  void journal_end(std::uint32_t slot, bool crashed) noexcept;
  bool end_locked(std::uint32_t slot, bool crashed) noexcept;
  bool release_locked(std::uint32_t slot) noexcept;
  void linger_locked(std::uint32_t slot, bool crashed, std::int64_t deadline_ns) noexcept;
  bool finish_locked(std::uint32_t slot) noexcept;

  Header* header_ = nullptr;
  std::int64_t* rate_ = nullptr;  // when the last rate_count connections began; a ring, oldest at rate_next
  Slot* slots_ = nullptr;
  Sources sources_;
  std::size_t size_ = 0;
  Shape shape_;  // a copy that no other process can change: the room
};

}  // namespace bulkhead::ipc
