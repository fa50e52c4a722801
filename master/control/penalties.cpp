#include "master/control/penalties.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "master/config/network.h"
#include "master/control/answers.h"
#include "master/process/source_rules.h"
#include "worker/sys/clock.h"

namespace bulkhead::control {

namespace {

using nlohmann::ordered_json;

struct Found {
  const net::Listener* listener;
  ipc::PenaltyRecord record;
};

ordered_json json_of(const Found& found, std::int64_t now_ns) {
  const admission::Penalty penalty = found.record.penalty;
  return {{"listener", found.listener->path()},
          {"source", ipc::SourceText(found.record.source).view()},
          {"active", penalty.active()},
          {"reason", admission::kOffenceWords.text(penalty.offence(), "unknown")},
          {"remaining_seconds", seconds_of(penalty.until_ns() - now_ns)},
          {"connections", found.record.connections}};
}

std::optional<ipc::SourceKey> user_of(std::string_view digits) {
  std::uint32_t uid = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), uid);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  ipc::Peer peer;
  peer.family = AF_UNIX;
  peer.uid = uid;
  return ipc::source_of(peer, 32, 128);
}

}  // namespace

ordered_json penalties_json(const Listeners& listeners) {
  const std::int64_t now = sys::monotonic_ns();
  std::vector<Found> found;
  for (const auto& [path, listener] : listeners) {
    listener->table().penalties(now, [&found, &owner = *listener](const ipc::PenaltyRecord& record) {
      found.push_back({&owner, record});
    });
  }
  const std::size_t shown = std::min(found.size(), kMostPenalties);
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(shown), found.end(),
                    [](const Found& one, const Found& other) {
                      return one.record.penalty.until_ns() > other.record.penalty.until_ns();
                    });
  ordered_json out = ordered_json::array();
  for (std::size_t i = 0; i < shown; ++i) out.push_back(json_of(found[i], now));
  return out;
}

std::optional<ipc::SourceKey> prefix_of(std::string_view text) {
  constexpr std::string_view kUser = "unix:uid=";
  if (text.starts_with(kUser)) return user_of(text.substr(kUser.size()));
  const auto parsed = config::parse_network(text);
  const auto* network = std::get_if<config::Network>(&parsed);
  if (network == nullptr) return std::nullopt;
  return process::source_key(*network);
}

namespace {

std::uint64_t count_within(const net::Listener& listener, const ipc::SourceKey& prefix) {
  std::uint64_t count = 0;
  listener.table().penalties(sys::monotonic_ns(), [&](const ipc::PenaltyRecord& record) {
    if (ipc::within(record.source, prefix)) ++count;
  });
  return count;
}

}  // namespace

void forgive(running::Workforce& workforce, const Listeners& listeners, const ipc::SourceKey& prefix,
             std::function<void(std::uint64_t)> done) {
  struct Asked {
    std::uint64_t count = 0;
    std::size_t open = 1;  // and ourselves, until all have been asked
    std::function<void(std::uint64_t)> done;
  };
  const auto asked = std::make_shared<Asked>();
  asked->done = std::move(done);
  const auto answered = [asked](std::uint32_t count) {
    asked->count += count;
    if (--asked->open == 0) asked->done(asked->count);
  };
  for (const auto& [path, listener] : listeners) {
    ++asked->open;
    const bool waits = !workforce.has_ready_worker(*listener);
    if (waits) asked->count += count_within(*listener, prefix);
    workforce.ask(*listener, ipc::Forgive{prefix}, answered);
  }
  answered(0);
}

}  // namespace bulkhead::control
