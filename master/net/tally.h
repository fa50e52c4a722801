// A listener's counts as they are shown: what the table says, plus the ends that its workers have not carried out yet.
// Counters that only grow never go back. A table is hostile input, and one that is recreated begins from these.
// Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/ipc/slot.h"

namespace bulkhead::net {

// Ends that the master has decided, and that the table's counts do not have.
struct OpenEnds {
  std::uint32_t serving = 0;  // still counted as serving, some of them released
  std::uint32_t ended = 0;
  std::uint32_t crashed = 0;
  std::uint32_t client_gone = 0;
  std::uint32_t freed = 0;  // slots that are as good as free
};

class Tally {
 public:
  // `table`: nothing where it could not be read; then the counts before hold.
  const ipc::Counts& update(const std::optional<ipc::Counts>& table, const OpenEnds& open) {
    if (!table) return shown_;
    raise(shown_.completed, table->completed + open.ended);
    raise(shown_.crashed, table->crashed + open.crashed);
    raise(shown_.client_gone, table->client_gone + open.client_gone);
    for (std::size_t i = 0; i < ipc::kRefusals; ++i) raise(shown_.refused[i], table->refused[i]);
    shown_.serving = table->serving - std::min(table->serving, open.serving);
    shown_.used = table->used;
    return shown_;
  }
  [[nodiscard]] const ipc::Counts& shown() const noexcept { return shown_; }
  void resume(const ipc::Counts& shown) noexcept { shown_ = shown; }

 private:
  static void raise(std::uint64_t& shown, std::uint64_t now) { shown = std::max(shown, now); }
  ipc::Counts shown_;
};

}  // namespace bulkhead::net
