#include "worker/ipc/connection_output.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/log/suppressed.h"

namespace bulkhead::ipc {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();

void say_where_from(log::Line& line, const Origin& origin, pid_t sender) {
  if (origin.leader != 0) {
    char hex[17];
    add_connection(line, hex_text(origin.id, hex), ConnectionEvent::handler_output);
    add_peer(line, "peer", origin.peer);
  } else {
    add_event(line, ConnectionEvent::handler_output);
  }
  line.field("pid", sender).field("stream", "stderr");
}

}  // namespace

ConnectionOutput::ConnectionOutput(std::string listener, std::uint32_t lines_per_second, Log log)
    : listener_(std::move(listener)), log_(std::move(log)) {
  set_rate(lines_per_second);
}

void ConnectionOutput::set_rate(std::uint32_t lines_per_second) {
  limits_.lines = lines_per_second == 0 ? kUnlimited : lines_per_second;
}

// A process without a connection is a source of its own.
ConnectionOutput::Source& ConnectionOutput::source_of(const Origin& origin, pid_t sender, std::int64_t now_ns) {
  const auto same = [&](const Source& source) {
    if (origin.leader == 0) return source.origin.leader == 0 && source.sender == sender;
    return source.origin.leader != 0 && source.origin.id == origin.id;
  };
  const auto found = std::find_if(sources_.begin(), sources_.end(), same);
  if (found != sources_.end()) return *found;
  if (sources_.size() == kMaxSources) {
    const auto silent = std::min_element(sources_.begin(), sources_.end(),
                                         [](const Source& a, const Source& b) { return a.heard_ns < b.heard_ns; });
    finish(*silent);
    sources_.erase(silent);
  }
  sources_.push_back({origin, sender, log::LineSplitter{}, log::OutputBudget(limits_), now_ns, now_ns});
  return sources_.back();
}

void ConnectionOutput::take(const Origin& origin, pid_t sender, std::string_view bytes, std::int64_t now_ns) {
  Source& source = source_of(origin, sender, now_ns);
  source.sender = sender;
  source.heard_ns = now_ns;
  if (now_ns - source.second_began_ns >= kSecond) begin_second(source, now_ns);
  source.lines.feed(bytes, [&](std::string_view line, bool cut) { log_line(source, line, cut); });
}

void ConnectionOutput::log_line(Source& source, std::string_view line, bool cut) {
  if (on_line_) on_line_(source.origin, line);
  if (!source.budget.take_line()) return;
  log::Line out(log::Level::info, place());
  out.text(line).text(cut ? "..." : "");
  say_where_from(out, source.origin, source.sender);
  out.write();
}

void ConnectionOutput::begin_second(Source& source, std::int64_t now_ns) {
  source.second_began_ns = now_ns;
  const std::uint64_t suppressed = source.budget.renew();
  if (suppressed == 0) return;
  log::Line out(log::Level::warning, place());
  log::add_suppressed(out, limits_.lines, suppressed, {.does = "a connection's process writes"});
  say_where_from(out, source.origin, source.sender);
  out.write();
}

void ConnectionOutput::finish(Source& source) {
  source.lines.finish([&](std::string_view line, bool cut) { log_line(source, line, cut); });
  begin_second(source, source.second_began_ns);
}

void ConnectionOutput::end(std::uint64_t id) {
  std::erase_if(sources_, [&](Source& source) {
    if (source.origin.leader == 0 || source.origin.id != id) return false;
    finish(source);
    return true;
  });
}

void ConnectionOutput::tick(std::int64_t now_ns, const std::function<bool(const Origin&)>& lives) {
  std::erase_if(sources_, [&](Source& source) {
    const bool second_is_over = now_ns - source.second_began_ns >= kSecond;
    const bool over = source.origin.leader == 0 ? second_is_over : !lives(source.origin);
    if (over) finish(source);
    if (!over && second_is_over) begin_second(source, now_ns);
    return over || (second_is_over && source.lines.empty());
  });
}

void ConnectionOutput::end_all() {
  for (Source& source : sources_) finish(source);
  sources_.clear();
}

}  // namespace bulkhead::ipc
