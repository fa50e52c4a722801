// Keeps the last log lines of every node: those that this process logs about it, what processes write, and what workers
// log for their listeners. Other lines, as those about the control socket, are not kept.
#pragma once

#include <new>
#include <string_view>

#include "master/journal/memory.h"
#include "master/supervision/path.h"
#include "worker/log/log.h"

namespace bulkhead::journal {

class KeptLines final : private log::Keeper {
 public:
  // The memory must outlive it.
  explicit KeptLines(Memory& memory) : memory_(memory) { log::keep_with(this); }
  ~KeptLines() override { log::keep_with(nullptr); }
  KeptLines(const KeptLines&) = delete;
  KeptLines& operator=(const KeptLines&) = delete;

 private:
  void keep(std::string_view path, std::string_view line) noexcept override {
    if (!supervision::is_at_or_below(path, "root")) return;
    try {
      memory_.keep(path, line);
    } catch (const std::bad_alloc&) {  // the log itself has it
    }
  }

  Memory& memory_;
};

}  // namespace bulkhead::journal
