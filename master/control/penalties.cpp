#include "master/control/penalties.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "master/config/network.h"
#include "master/process/source_rules.h"
#include "worker/sys/clock.h"

namespace bulkhead::control {

namespace {

using nlohmann::ordered_json;

constexpr int kAttempts = 1000;  // a holder needs nanoseconds, once it runs

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
          {"remaining_seconds", static_cast<double>((penalty.until_ns() - now_ns) / 1'000'000) / 1000.0},
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
    listener->table().sources().penalties(now, [&found, &owner = *listener](const ipc::PenaltyRecord& record) {
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

Forgiven forgive(const Listeners& listeners, const ipc::SourceKey& prefix) {
  Forgiven out;
  for (const auto& [path, listener] : listeners) {
    std::optional<std::uint32_t> count;
    for (int attempt = 0; attempt < kAttempts && !count; ++attempt) {
      if (attempt != 0) sched_yield();
      count = listener->table().try_forgive(prefix);
    }
    out.count += count.value_or(0);
    out.busy = out.busy || !count;
  }
  return out;
}

}  // namespace bulkhead::control
