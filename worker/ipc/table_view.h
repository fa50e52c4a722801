// The master's side of a connection table (worker/ipc/table/table.h): copies, by value, of memory that hostile
// processes change at any moment. It has no lock and no algorithm, its mapping of the header is read-only, and all that
// it can write is one word for each slot that the master owns, and the listener's lease.
//
// Every value is loaded once. Callers check the copy before they use it as an index, a pid or a length, and believe
// none of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "worker/ipc/lease.h"
#include "worker/ipc/master_word.h"
#include "worker/ipc/slot.h"
#include "worker/ipc/source_layout.h"
#include "worker/ipc/table_layout.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

// A taken slot of a table that is recreated.
struct KeptSlot {
  std::uint32_t index = 0;
  Slot slot;
};

class TableView {
 public:
  TableView() = default;
  TableView(TableView&& other) noexcept;
  TableView& operator=(TableView&& other) noexcept;
  TableView(const TableView&) = delete;
  TableView& operator=(const TableView&) = delete;
  ~TableView();

  // `memfd` must stay open for as long as the view.
  [[nodiscard]] static sys::Result<TableView> map(int memfd, const TableRoom& room);
  [[nodiscard]] const TableRoom& room() const noexcept { return room_; }

  // A view that is not mapped (yet) is that of an empty table.

  // Nothing while somebody changes them: the ones before hold. At most kMaxConnections each for serving and used.
  [[nodiscard]] std::optional<Counts> counts() const noexcept;
  [[nodiscard]] bool somebody_waits() const noexcept;       // a worker has a client and no slot for it
  [[nodiscard]] std::uint32_t high_water() const noexcept;  // at most the room; for lists only
  [[nodiscard]] std::int64_t heartbeat_ns(std::uint32_t worker) const noexcept;
  // Owner 0: the master's, by its own word. No time is below 0.
  [[nodiscard]] std::optional<Slot> copy(std::uint32_t slot) const noexcept;
  // Copies as many slots from `first` on as there are, and returns how many. Untouched memory stays untouched.
  [[nodiscard]] std::size_t copy(std::uint32_t first, std::span<Slot> out) const noexcept;

  [[nodiscard]] MasterWord word(std::uint32_t slot) const noexcept;
  void write(std::uint32_t slot, const MasterWord& word) noexcept;
  // A word that is an order and has not been carried out.
  [[nodiscard]] bool is_open(std::uint32_t slot, const MasterWord& word) const noexcept;

  // `total` is daemon.max_connections.
  void write(const Lease& lease, std::uint32_t total) noexcept;
  // Claimed, serving and ending slots, at most kMaxConnections. While honest workers change it, it is never below what
  // the table has: read after write(), it has every place that was taken without regard to that lease (lease.h).
  [[nodiscard]] std::uint32_t places_taken() const noexcept;
  // A process holds the table's lock, or died while holding it.
  [[nodiscard]] bool is_locked() const noexcept;

  // The penalties that are not over, not all of the same moment.
  void penalties(std::int64_t now_ns, const std::function<void(const PenaltyRecord&)>& visit) const;

 private:
  const TableHeader* header_ = nullptr;
  std::uint64_t* words_ = nullptr;
  int memfd_ = -1;
  TableRoom room_;
};

// A slot whose connection continues in another table, as the master knows it.
struct KeptUse {
  std::uint32_t index = 0;
  std::uint32_t use = 0;
  SlotState state = SlotState::serving;
  std::int32_t pid = 0;
};

// Fills a table that nobody else has yet: these slots, in several calls if there are many, and these counts. What else
// there is of it a worker rebuilds before it is ready.
[[nodiscard]] bool fill_table(int memfd, const TableRoom& room, std::span<const KeptSlot> slots,
                              const Counts& counts) noexcept;

}  // namespace bulkhead::ipc
