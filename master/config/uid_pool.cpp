#include "master/config/uid_pool.h"

#include <fmt/format.h>

#include <utility>

#include "master/config/counted.h"

namespace bulkhead::config {
namespace {

constexpr const char* kUnassigned = "of the pool";  // "user of the pool may not execute …"

std::string why_not(const Context& context, const UidRange& range) {
  return why_not_a_pool(range, context.host().users_and_groups());
}

}  // namespace

std::optional<UidRange> usable_pool(Context& context, const Entry& entry) {
  const auto range = parse_uid_range(entry.value.text);
  if (!range || !context.as_root()) return std::nullopt;
  const std::string why = why_not(context, *range);
  if (why.empty()) return range;
  context.report(entry.at(), entry.pointer(), fmt::format("{} cannot be a pool: {}", entry.value.text, why));
  return std::nullopt;
}

std::optional<UidRange> read_uid_pool(Context& context, const Entry& entry) {
  if (entry.is_word()) return std::nullopt;
  if (entry.given) return usable_pool(context, entry);
  std::string why = context.as_root() ? why_not(context, kDefaultUidPool) : "";
  if (context.as_root() && why.empty()) return kDefaultUidPool;
  entry.effective = string_value("none");
  context.pools().default_problem = std::move(why);
  return std::nullopt;
}

Identity user_of_pool(Context& context, const Section& section, const UidRange& range, std::optional<std::uint32_t> gid,
                      std::vector<std::uint32_t> groups) {
  if (!context.claims_none() && ++context.pools().listeners[range] == range.size() + 1) {
    context.report(section.at, section.pointer,
                   fmt::format("the pool {} has only {}, and this listener needs one more", text_of(range),
                               counted(range.size(), "user")));
  }
  return {kUnassigned, range.first, gid.value_or(range.first), std::move(groups), Identity::Pool{range, !gid, false}};
}

std::optional<Identity> user_of_daemon_pool(Context& context, const Section& section, std::optional<std::uint32_t> gid,
                                            std::vector<std::uint32_t> groups) {
  PoolsInUse& pools = context.pools();
  if (pools.of_daemon) return user_of_pool(context, section, *pools.of_daemon, gid, std::move(groups));
  if (const std::string why = std::exchange(pools.default_problem, ""); !why.empty()) {
    context.warn(section.at, section.pointer,
                 fmt::format("no user of its own for a listener without \"user\": the default of daemon.uid_pool, {}, "
                             "cannot be used: {}",
                             text_of(kDefaultUidPool), why));
  }
  return std::nullopt;
}

}  // namespace bulkhead::config
