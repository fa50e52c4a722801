// Decides which connections are admitted. A connection passes these steps in this order, and is counted and logged
// under the first that refuses it:
//
//   1  transport()   allow, deny                  the address at the other end of the connection
//   2  sender()      proxy_allow_from, proxy_protocol
//                                                 who the client is, if a balancer names it
//   3  client()      allow, deny, rules           the client
//   4                penalties                    the client's source
//   5                max_connections_per_source, max_rate_per_source
//   6                max_connection_rate, max_connections
//
// Steps 1 and 3 are here and pure. Step 2 takes time and is waited for without a slot. Steps 4 to 6 are decided at once
// under the lock of the connection table (worker/ipc/slot.h, admit). Only step 6 depends on capacity, and on
// `on_full`: with `queue` it comes before the accept, so that clients wait in the kernel.
#pragma once

#include <cstdint>

#include "worker/admission/access_list.h"
#include "worker/admission/prefix_map.h"

namespace bulkhead::admission {

inline constexpr std::uint32_t kNoRule = 0xffffffff;

// The `rules`, by the networks of their `from`. A match's value is rule * 2, and one more where the rule says deny.
[[nodiscard]] constexpr std::uint32_t rule_value(std::uint32_t rule, bool deny) noexcept {
  return rule * 2 + (deny ? 1 : 0);
}
inline constexpr std::uint32_t kNoRuleValue = 0xffffffff;

struct ClientVerdict {
  bool allowed = true;
  std::uint32_t length = kNoNetwork;  // of the network that decided, of a list or of a rule
  std::uint32_t rule = kNoRule;       // whose network holds the client; where `allowed` is false: the rule denied it
};

// For addresses only: a peer without one, such as on a Unix socket, passes.
class Pipeline {
 public:
  Pipeline() = default;
  Pipeline(PrefixMap access, PrefixMap rules, PrefixMap senders = {})
      : access_(access), rules_(rules), senders_(senders) {}

  [[nodiscard]] AccessVerdict transport(const Address& address) const noexcept {
    return judge_access(access_, address);
  }
  // Whether this address may send a PROXY header.
  [[nodiscard]] bool sender(const Address& address) const noexcept { return judge_access(senders_, address).allowed; }
  [[nodiscard]] ClientVerdict client(const Address& address) const noexcept {
    const AccessVerdict access = judge_access(access_, address);
    if (!access.allowed) return {false, access.length, kNoRule};
    const Match match = rules_.find(address);
    if (match.value == kNoRuleValue) return {true, kNoNetwork, kNoRule};
    return {match.value % 2 == 0, match.length, match.value / 2};
  }

 private:
  PrefixMap access_{{}, {}, static_cast<std::uint32_t>(Access::allowed)};
  PrefixMap rules_{{}, {}, kNoRuleValue};
  PrefixMap senders_{{}, {}, static_cast<std::uint32_t>(Access::denied)};
};

}  // namespace bulkhead::admission
