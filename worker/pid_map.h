// Which slot a child's pid belongs to: open addressing in memory of fixed size, made once, not inherited by children
// (MADV_DONTFORK), touched only where it is used. O(1) however many connections there are.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace bulkhead::worker {

inline constexpr std::uint32_t kNoEntry = 0xffffffff;

class PidMap {
 public:
  // For at most `entries` at a time.
  explicit PidMap(std::uint32_t entries);
  ~PidMap();
  PidMap(const PidMap&) = delete;
  PidMap& operator=(const PidMap&) = delete;

  void put(pid_t pid, std::uint32_t slot) noexcept;
  [[nodiscard]] std::uint32_t take(pid_t pid) noexcept;        // kNoEntry: not ours
  [[nodiscard]] std::uint32_t find(pid_t pid) const noexcept;  // the same, and it stays
  // Walks over all: returns the first pid at or after `at` (0 to begin with) and sets `at` to its place; 0: no more
  // pids. Continue with at + 1, or with `at` itself if that pid has been taken, because another may have moved there.
  [[nodiscard]] pid_t next(std::size_t& at) const noexcept;
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

 private:
  struct Entry {
    std::int32_t pid;  // 0: empty
    std::uint32_t slot;
  };
  [[nodiscard]] std::size_t home(pid_t pid) const noexcept;

  Entry* entries_ = nullptr;
  std::size_t mask_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace bulkhead::worker
