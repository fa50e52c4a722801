// Gives the listeners that take their user from a pool a number of their own. A listener keeps its number for as long
// as it exists, over reloads and upgrades: its entry in the catalogue has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/running/catalogue.h"
#include "master/running/uid_ledger.h"

namespace bulkhead::running {

class PoolUsers {
 public:
  // `catalogue` must outlive it.
  PoolUsers(const Catalogue& catalogue, UidLedger::Busy busy) : catalogue_(catalogue), busy_(std::move(busy)) {}

  // For `node`, which is or will be at `path`, and everything below it. What has a number already, because it was in
  // effect once, keeps it unless another listener has it now. Returns the problem: a pool is used up.
  [[nodiscard]] std::string assign(config::Node& node, const std::string& path);
  // Only for listeners that exist already, so that it can be seen what would change.
  void recall(config::Node& node, const std::string& path);

  [[nodiscard]] std::vector<PoolRecord> record() const { return ledger_.record(); }
  void resume(const std::vector<PoolRecord>& from) { ledger_.resume(from); }

 private:
  void look_who_has_what();
  [[nodiscard]] bool keep(config::Identity& who, const std::string& path);
  [[nodiscard]] std::string assign_below(config::Node& node, const std::string& path);
  void recall_below(config::Node& node, const std::string& path);

  const Catalogue& catalogue_;
  UidLedger::Busy busy_;
  UidLedger ledger_;
};

}  // namespace bulkhead::running
