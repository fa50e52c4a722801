#include "master/config/room_reader.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <string>
#include <string_view>

#include "master/config/counted.h"
#include "master/config/descriptor_need.h"
#include "master/config/host.h"

namespace bulkhead::config {
namespace {

constexpr std::string_view kRaisedBy = "ulimit -n, or LimitNOFILE= of a systemd unit";

struct Room {
  Context& context;
  const Section& section;
  Listener& listener;
  Value& effective;
  ProcessLimit limit;

  void fit(std::string_view key, std::uint32_t& value, std::uint32_t taken) const {
    const std::uint32_t most = limit.most > taken ? limit.most - taken : 1;
    if (value <= most) return;
    const Member* given = section.object.find(key);
    if (given != nullptr && given->value.kind == Value::Kind::number) return refuse(key, most);
    listener.remarks.push_back(fmt::format("{} {} is lowered to {}: each is a process, and {} is {} (raise it by {})",
                                           key, value, most, limit.name, limit.most, limit.raised_by));
    value = most;
    for (Member& member : effective.members) {
      if (member.key == key) member.value = number_value(std::to_string(most));
    }
  }

  void refuse(std::string_view key, std::uint32_t most) const {
    context.report(section.place_of(key), section.pointer_of(key),
                   fmt::format("expected at most {}: each is a process, and {} is {} (raise it by {})", most,
                               limit.name, limit.most, limit.raised_by));
  }
};

void check_headers(const Context& context, Listener& listener) {
  const std::uint64_t hard = context.host().hard_limit(RLIMIT_NOFILE);
  const std::uint32_t share = header_share(listener);
  const std::uint32_t room = header_room(listener, hard);
  if (listener.proxy.protocol == ProxyProtocol::off || room == share) return;
  listener.remarks.push_back(
      fmt::format("of {} connections that may begin in a worker at the same time, {} can have their PROXY header in "
                  "progress: each is a descriptor, and RLIMIT_NOFILE is {} (raise it by {})",
                  share, room, hard, kRaisedBy));
}

}  // namespace

// Processes of other programs and those that handlers start count against the same limits, so this is the most that can
// be available.
void check_room(Context& context, const Section& section, Listener& listener, Value& effective) {
  const std::uint32_t uid = listener.child.identity ? listener.child.identity->uid : context.host().user_id();
  const Room room{context, section, listener, effective, context.process_limit(uid)};
  if (room.limit.most != 0) {
    constexpr std::uint32_t kMaster = 1;
    room.fit("workers", listener.workers, kMaster + 1);
    room.fit("max_connections", listener.max_connections, kMaster + listener.workers);
  }
  check_headers(context, listener);
}

void check_descriptors(Context& context, const Section& section, const Node& root) {
  const MasterNeed need = master_need(root);
  const std::uint64_t hard = context.host().hard_limit(RLIMIT_NOFILE);
  if (need.descriptors <= hard) return;
  context.report(
      section.at, section.pointer,
      fmt::format("{} with {} and {}, and {}, need {} in the daemon, and the hard limit of RLIMIT_NOFILE is {} (raise "
                  "it by {})",
                  counted(need.listeners, "listener"), counted(need.addresses, "address", "es"),
                  counted(need.workers, "worker"), counted(need.processes, "process", "es"),
                  counted(need.descriptors, "descriptor"), hard, kRaisedBy));
}

}  // namespace bulkhead::config
