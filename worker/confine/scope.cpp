#include "worker/confine/scope.h"

#include <fcntl.h>

#include <cstddef>
#include <cstdint>

namespace bulkhead::confine {

namespace {

// linux/landlock.h of Debian 12 is older than these.
constexpr long kCreateRuleset = 444;
constexpr long kVersionOnly = 1;
constexpr long kFirstWithScopes = 6;
constexpr std::uint64_t kAbstractSockets = 1;
constexpr std::uint64_t kSignals = 2;
struct RulesetAttributes {
  std::uint64_t file_system = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};

constexpr int kAboveTheChilds = 10;

}  // namespace

sys::Fd prepare_scope(const ipc::Confinement& confinement) noexcept {
  if (confinement.no_new_privileges == 0) return {};
  if (sys::raw(kCreateRuleset, 0, 0, kVersionOnly) < kFirstWithScopes) return {};
  const RulesetAttributes wanted{0, 0, kAbstractSockets | kSignals};
  const sys::Fd rules(static_cast<int>(sys::raw(kCreateRuleset, sys::raw_pointer(&wanted), sizeof wanted, 0)));
  return sys::Fd(rules ? fcntl(rules.get(), F_DUPFD_CLOEXEC, kAboveTheChilds) : -1);
}

}  // namespace bulkhead::confine
