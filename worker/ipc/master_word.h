// The one word of a slot that the master writes (worker/ipc/table/table.h): what is to become of a connection whose
// worker is gone. It holds for one `use` of the slot only, so a word that has been carried out means nothing any more.
#pragma once

#include <cstdint>

#include "worker/ipc/slot.h"

namespace bulkhead::ipc {

struct MasterWord {
  enum class Wish : std::uint32_t {
    none,
    adopted,  // its process lives, and is the master's
    release,  // no process came of it: free the slot, count nothing
    linger,   // its process has ended: count it, keep the slot for what is left of its group
    end       // the same, and nothing is left: free the slot
  };
  std::uint32_t use = 0;
  Wish wish = Wish::none;
  bool known = false;      // wait_status is what the process ended with
  bool asked = false;      // it had been signalled by us
  bool timed_out = false;  // a time limit had ended it
  EndCount count = EndCount::normal;
  std::uint16_t wait_status = 0;  // wait(2)

  friend bool operator==(const MasterWord&, const MasterWord&) = default;
  // A worker has something to do.
  [[nodiscard]] constexpr bool is_order() const noexcept { return wish >= Wish::release; }
};

[[nodiscard]] constexpr std::uint64_t word_of(const MasterWord& from) noexcept {
  const std::uint32_t flags = (from.known ? 1U : 0U) | (from.asked ? 2U : 0U) | (from.timed_out ? 4U : 0U) |
                              static_cast<std::uint32_t>(from.count) << 3;
  return std::uint64_t{from.use} << 32 | std::uint64_t{from.wait_status} << 16 | flags << 4 |
         static_cast<std::uint32_t>(from.wish);
}

// Any number is some word: an unknown wish is none.
[[nodiscard]] constexpr MasterWord master_word(std::uint64_t word) noexcept {
  MasterWord out;
  out.use = static_cast<std::uint32_t>(word >> 32);
  out.wait_status = static_cast<std::uint16_t>(word >> 16);
  const auto wish = static_cast<std::uint32_t>(word & 0xf);
  out.wish = wish <= static_cast<std::uint32_t>(MasterWord::Wish::end) ? static_cast<MasterWord::Wish>(wish)
                                                                       : MasterWord::Wish::none;
  out.known = (word & 0x10) != 0;
  out.asked = (word & 0x20) != 0;
  out.timed_out = (word & 0x40) != 0;
  const auto count = static_cast<EndCount>(word >> 7 & 3);
  out.count = count <= EndCount::client_gone ? count : EndCount::normal;
  return out;
}

}  // namespace bulkhead::ipc
