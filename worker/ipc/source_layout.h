// How the sources of a connection table (worker/ipc/table/source_table.h) lie in memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "worker/admission/penalties.h"
#include "worker/ipc/pages.h"
#include "worker/ipc/slot.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::ipc {

struct alignas(64) Source {
  SourceKey key;  // family 0: vacant
  std::uint32_t connections = 0;
  std::uint32_t next = kNoSource;   // in the chain of its head
  std::uint32_t older = kNoSource;  // in the idle list
  std::uint32_t newer = kNoSource;
  std::uint32_t place = 0;    // in the heap of its family, from 1; 0: not penalised
  std::uint64_t penalty = 0;  // admission::Penalty
  std::int64_t rate_full_at_ns = 0;
};

// The room of a table; tests take less.
struct SourceRoom {
  std::uint32_t penalised = admission::kMaxPenalised;  // of each family
  std::uint32_t remembered = 2 * 65'536;               // idle ones, for their rates
};

struct SourcesHeader {
  HashKey key;
  std::uint32_t fresh;  // sources from here on were never used
  std::uint32_t oldest;
  std::uint32_t newest;
  std::uint32_t penalised[2];
};

struct SourceLayout {
  SourceLayout(std::uint32_t slots, const SourceRoom& room) noexcept
      : sources(1 + slots + 2 * room.penalised + room.remembered),
        heads(std::bit_ceil(sources / 2)),
        heads_at(kPage),
        heaps_at(heads_at + round_to_page(std::size_t{heads} * sizeof(std::uint32_t))),
        sources_at(heaps_at + round_to_page(std::size_t{room.penalised} * 2 * sizeof(std::uint32_t))),
        size(sources_at + round_to_page(std::size_t{sources} * sizeof(Source))) {}
  std::uint32_t sources;
  std::uint32_t heads;
  std::size_t heads_at;
  std::size_t heaps_at;
  std::size_t sources_at;
  std::size_t size;
};

struct PenaltyRecord {
  SourceKey source;
  admission::Penalty penalty;
  std::uint32_t connections = 0;
};

}  // namespace bulkhead::ipc
