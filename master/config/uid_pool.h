// daemon.uid_pool while a configuration is read, and the users of listeners that are taken from a pool.
#pragma once

#include <cstdint>
#include <optional>

#include "master/config/section.h"
#include "master/config/uid_range.h"

namespace bulkhead::config {

// The value of daemon.uid_pool. Reports an explicit range that cannot be given out. A default one that cannot is none,
// about which the first listener that would use it warns. A daemon that is not root's has none.
[[nodiscard]] std::optional<UidRange> read_uid_pool(Context& context, const Entry& entry);

// The value of an explicit pool. Reports one that cannot be given out.
[[nodiscard]] std::optional<UidRange> usable_pool(Context& context, const Entry& entry);

// The identity of the listener of `section`, before it is assigned. Reports the listener for which the range is too
// small.
[[nodiscard]] Identity user_of_pool(Context& context, const Section& section, const UidRange& range,
                                    std::optional<std::uint32_t> gid, std::vector<std::uint32_t> groups);

// The same for one without `user`. Nothing: there is no pool.
[[nodiscard]] std::optional<Identity> user_of_daemon_pool(Context& context, const Section& section,
                                                          std::optional<std::uint32_t> gid,
                                                          std::vector<std::uint32_t> groups);

}  // namespace bulkhead::config
