#include "master/running/uid_ledger.h"

namespace bulkhead::running {

void UidLedger::hold(const std::string& path, std::uint32_t uid) {
  if (const auto before = of(path); before && !is_taken(*before, path)) by_uid_.erase(*before);
  by_path_[path] = uid;
  by_uid_[uid] = path;
}

void UidLedger::forget_holders() {
  by_path_.clear();
  by_uid_.clear();
}

std::optional<std::uint32_t> UidLedger::of(const std::string& path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? std::nullopt : std::optional(found->second);
}

bool UidLedger::is_taken(std::uint32_t uid, const std::string& by_other_than) const {
  const auto found = by_uid_.find(uid);
  return found != by_uid_.end() && found->second != by_other_than;
}

std::optional<std::uint32_t> UidLedger::take(const std::string& path, const config::UidRange& range, const Busy& busy) {
  std::uint32_t& next = next_.try_emplace(range, range.first).first->second;
  for (std::uint64_t left = range.size(); left > 0; --left) {
    const std::uint32_t uid = next;
    next = uid == range.last ? range.first : uid + 1;
    if (by_uid_.contains(uid) || busy(uid)) continue;
    hold(path, uid);
    return uid;
  }
  return std::nullopt;
}

std::vector<PoolRecord> UidLedger::record() const {
  std::vector<PoolRecord> out;
  for (const auto& [range, next] : next_) out.push_back({range.first, range.last, next});
  return out;
}

void UidLedger::resume(const std::vector<PoolRecord>& from) {
  for (const PoolRecord& one : from) {
    const config::UidRange range{one.first, one.last};
    if (range.contains(one.next)) next_[range] = one.next;
  }
}

}  // namespace bulkhead::running
