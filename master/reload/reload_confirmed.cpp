// The part of a reload that waits to be confirmed: confirmation.h has its rules.
#include <algorithm>
#include <chrono>
#include <utility>

#include "master/reload/reload.h"
#include "worker/log/log.h"

namespace bulkhead::reload {

namespace {

using supervision::Duration;

std::int64_t whole_seconds(Duration span) {
  return std::chrono::ceil<std::chrono::seconds>(span).count();
}

void say(log::Level level, std::string_view text) {
  log::Line(level, "root").text(text).write();
}

}  // namespace

void Reload::took_effect() {
  const bool stays_going = confirmation_.is_returning();
  const auto limit = std::exchange(limit_, std::nullopt);
  switch (confirmation_.took_effect(before_, parts_.catalogue.effective(), limit, surroundings_.clock())) {
    case Confirmation::Effect::none: break;
    case Confirmation::Effect::begun: confirmation_begun(); break;
    case Confirmation::Effect::moot:
      say(log::Level::info, "nothing is left to confirm: the file has the configuration before again");
      events_.publish("reload_confirmed", "root");
      break;
    case Confirmation::Effect::returned: returned(); break;
  }
  before_ = {};
  start_confirm_timer();
  if (stays_going && !waiting_.empty()) attempt_.hurry();
  surroundings_.taken_over();
}

void Reload::confirmation_begun() {
  events_.publish("reload_unconfirmed", "root",
                  limit_told(log::Level::info, "the configuration before comes back unless this reload is confirmed"));
}

nlohmann::ordered_json Reload::limit_told(log::Level level, const char* text) const {
  const Duration limit = confirmation_.unconfirmed()->limit;
  log::Line(level, "root").text(text).field("seconds", whole_seconds(limit)).write();
  return {{"seconds", std::chrono::duration<double>(limit).count()}};
}

// Requests whose reload has not been completed are answered with what has become of it.
void Reload::returned() {
  went_back_ = true;
  log::Line(log::Level::warning, "root")
      .text("the configuration before is in effect again; the next reload or start reads the file as it is")
      .field("file", parts_.catalogue.config().file)
      .write();
  for (const Owed& owed : std::exchange(owing_, {})) owed.answered({{kNotConfirmed}, {}});
}

Confirmation::Answer Reload::confirm() {
  const Confirmation::Answer answer = confirmation_.confirm();
  if (answer != Confirmation::Answer::confirmed) return answer;
  start_confirm_timer();
  say(log::Level::info, "the reload is confirmed");
  events_.publish("reload_confirmed", "root");
  return answer;
}

void Reload::start_confirm_timer() {
  if (confirmation_.state() != Confirmation::State::waiting) return confirm_timer_.stop();
  const Duration left = confirmation_.unconfirmed()->until - surroundings_.clock();
  confirm_timer_.start(std::max(Duration::zero(), left));
}

// A reload that is under way gives way, as to any other request.
void Reload::look_at_the_clock() {
  if (!confirmation_.expire(surroundings_.clock())) return start_confirm_timer();
  events_.publish(
      "reload_expired", "root",
      limit_told(log::Level::warning, "the reload was not confirmed in time: going back to the configuration before"));
  attempt_.hurry();
  go_on();
}

// The former configuration is not read again: whatever has become of the file and of what it names, it is the one that
// was in effect.
void Reload::run_back() {
  limit_.reset();
  warnings_.clear();
  const Former former = confirmation_.unconfirmed()->before;
  auto config = std::make_shared<config::Config>(*former.config);
  keep_what_stays(*config);
  if (std::string problem = parts_.users.assign(config->root, "root"); !problem.empty()) return reject({problem});
  ReloadPlan planned = plan(former.effective, *config, false);
  attempt(std::move(config), former.effective, std::move(planned), false);
}

void Reload::return_failed(std::vector<std::string>& problems) {
  confirmation_.failed(surroundings_.clock());
  start_confirm_timer();
  problems.insert(problems.begin(),
                  "not confirmed in time, but the configuration before cannot come back; trying again");
}

std::optional<double> Reload::seconds_to_confirm() const {
  const auto& one = confirmation_.unconfirmed();
  if (!one) return std::nullopt;
  return std::max(0.0, std::chrono::duration<double>(one->until - surroundings_.clock()).count());
}

// The file stays as it is, so the next start reads what nobody has confirmed.
void Reload::stop_confirming() {
  if (confirmation_.unconfirmed()) {
    say(log::Level::warning, "stopping before the reload was confirmed: the next start reads the file, which has it");
  }
  confirmation_.forget();
  start_confirm_timer();
}

}  // namespace bulkhead::reload
