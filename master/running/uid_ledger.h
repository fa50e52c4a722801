// Which listener has which number of a pool. Pure. A number is given out again as late as possible: each range is gone
// through from its first number to its last, and then from the first again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "master/config/uid_range.h"

namespace bulkhead::running {

// How far a range has been gone through, for another program to continue with.
struct PoolRecord {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t next = 0;
};

class UidLedger {
 public:
  // Whether a process of this user is left.
  using Busy = std::function<bool(std::uint32_t uid)>;

  // Instead of the number that it had.
  void hold(const std::string& path, std::uint32_t uid);
  // What has been gone through is not forgotten.
  void forget_holders();
  [[nodiscard]] std::optional<std::uint32_t> of(const std::string& path) const;
  // Another listener has it.
  [[nodiscard]] bool is_taken(std::uint32_t uid, const std::string& by_other_than) const;
  // The next number that neither a listener has nor a process; nothing: there is none. It is held from then on.
  [[nodiscard]] std::optional<std::uint32_t> take(const std::string& path, const config::UidRange& range,
                                                  const Busy& busy);

  [[nodiscard]] std::vector<PoolRecord> record() const;
  void resume(const std::vector<PoolRecord>& from);

 private:
  std::map<std::string, std::uint32_t> by_path_;
  std::map<std::uint32_t, std::string> by_uid_;
  std::map<config::UidRange, std::uint32_t> next_;
};

}  // namespace bulkhead::running
