#include "worker/ipc/table/penalty_log.h"

#include <sys/socket.h>
#include <sys/wait.h>

namespace bulkhead::ipc {

admission::Ending ending_of(const Ended& ended) noexcept {
  admission::Ending out;
  if (!ended.known) return out;
  out.asked = ended.asked || ended.cause == EndCause::dropped || ended.cause == EndCause::client_gone;
  const Outcome outcome = outcome_of(ended);
  out.timed_out =
      outcome == Outcome::idle_timeout || outcome == Outcome::first_byte_timeout || outcome == Outcome::max_lifetime;
  out.no_input = outcome == Outcome::no_input;
  if (WIFEXITED(ended.wait_status)) {
    out.how = admission::Ending::How::exited;
    // An ExitCode of a built-in is not an exit status that `penalties.exit` lists.
    const bool said = out.timed_out || out.no_input;
    out.status = said ? std::uint8_t{0} : static_cast<std::uint8_t>(WEXITSTATUS(ended.wait_status));
  } else if (outcome == Outcome::crash) {
    out.how = admission::Ending::How::killed;
  }
  return out;
}

void log_penalised(std::string_view listener, const SourceKey& source, const admission::Charge& charge,
                   const Penalised& what, const admission::PenaltyRules& rules, log::RateLimit& limit,
                   std::int64_t now_ns) noexcept {
  if ((!what.began && !what.forgotten) || !limit.allow(now_ns)) return;
  const bool enforce = rules.mode == admission::PenaltyMode::enforce;
  log::Line line(what.began ? log::Level::info : log::Level::warning, listener);
  if (what.began) {
    line.text(enforce ? "penalties: a source is refused for " : "penalties: a source would be refused for ")
        .seconds(what.until_ns - now_ns);
  } else {
    const bool ipv6 = source.family == AF_INET6;
    line.text("penalties: no room for another source, ")
        .text(ipv6 ? "max_sources6 is " : "max_sources4 is ")
        .number(ipv6 ? rules.max_sources6 : rules.max_sources4);
  }
  const bool all = line.addresses() == log::Addresses::full;
  if (line.addresses() != log::Addresses::none) {
    line.field("source", SourceText(all ? source : shown_prefix(source)).view());
  }
  line.field("reason", admission::kOffenceWords.text(charge.offence, "unknown"));
  if (const auto more = limit.take_suppressed(); more != 0) line.field("suppressed", static_cast<std::int64_t>(more));
  line.write();
}

}  // namespace bulkhead::ipc
