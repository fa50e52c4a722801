#include "master/control/answers.h"

#include <fmt/format.h>

#include <utility>

namespace bulkhead::control {

using procedure::Outcome;
using supervision::ReplyError;

Answer ok() {
  return {{{"ok", true}}, std::nullopt};
}

Answer refused(std::string why) {
  return {nullptr, Failure{protocol::kRefused, std::move(why), ""}};
}

Answer refused(const std::vector<std::string>& problems) {
  return refused(fmt::format("{}", fmt::join(problems, "\n")));
}

Answer no(std::string why, std::string word) {
  return {nullptr, Failure{protocol::kNegative, std::move(why), std::move(word)}};
}

Answer no_such(const std::string& what) {
  return answer_of(procedure::negative(ReplyError::not_found, "there is no " + what));
}

Answer answer_of(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::done: return ok();
    case Outcome::Kind::refused: return refused(outcome.text);
    case Outcome::Kind::negative: break;
  }
  const bool unknown = outcome.word == ReplyError::not_found || outcome.word == ReplyError::noproc;
  return {nullptr, Failure{unknown ? protocol::kNoSuchObject : protocol::kNegative, outcome.text,
                           std::string(procedure::word_of(outcome.word))}};
}

Answer not_started(const Outcome& outcome, const journal::StartFailure& why) {
  Answer out = answer_of(outcome);
  if (why.reason.empty() || !out.failure) return out;
  out.failure->message += "; " + why.text();
  out.failure->more = {{"reason", why.reason}, {"last_lines", why.last_lines}};
  return out;
}

Answer answer_of(const reload::Reload::Result& result) {
  if (!result.problems.empty()) return refused(result.problems);
  Answer out{
      {{"ok", true}, {"changes", reload::changes_json(result.plan)}, {"needs_restart", result.plan.needs_restart}},
      std::nullopt};
  if (!result.warnings.empty()) out.result["warnings"] = result.warnings;
  if (result.confirm_seconds) out.result["confirm_seconds"] = *result.confirm_seconds;
  if (result.went_back) out.result["went_back"] = true;
  return out;
}

procedure::Done answer_with(Reply reply) {
  return [reply = std::move(reply)](const Outcome& outcome) { reply(answer_of(outcome)); };
}

}  // namespace bulkhead::control
