#include "master/reload/reload.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "master/config/find_node.h"
#include "master/reload/host_facts.h"
#include "master/reload/trial.h"
#include "worker/log/log.h"

namespace bulkhead::reload {

namespace {

using nlohmann::ordered_json;
using procedure::kDaemonStops;

constexpr const char* kWentBack = "went_back";  // in `last_reload`

}  // namespace

ordered_json changes_json(const ReloadPlan& plan) {
  ordered_json changes = ordered_json::array();
  for (const Change& change : plan.changes) {
    changes.push_back({{"path", change.path}, {"kind", kChangeWords.text(change.kind)}, {"keys", change.keys}});
  }
  return changes;
}

Reload::Reload(loop::Loop& loop, Parts parts, journal::EventRing& events, host::ServiceManager& manager,
               Surroundings surroundings)
    : parts_(parts),
      events_(events),
      manager_(manager),
      surroundings_(std::move(surroundings)),
      steps_(parts.later),
      attempt_(parts, steps_, [this](const std::string& path) { return why_not_started(path); }),
      commit_(loop, attempt_, [this] { took_effect(); }),
      last_({{"time", nullptr}, {"ok", true}, {"errors", ordered_json::array()}}),
      confirm_timer_(loop, [this] { look_at_the_clock(); }) {}

config::Loaded Reload::load(const std::string& file) const {
  const auto host = config::host_of({false, surroundings_.overridden});
  return config::load(file.empty() ? parts_.catalogue.config().file : file, *host);
}

Reload::Result Reload::check(const std::string& file) const {
  const config::Loaded loaded = load(file);
  return {config::texts_of(loaded.problems), {}, {}, config::texts_of(loaded.warnings)};
}

Reload::Result Reload::diff(const std::string& file) const {
  config::Loaded loaded = load(file);
  if (!loaded.config) return {config::texts_of(loaded.problems), {}};
  parts_.users.recall(loaded.config->root, "root");
  ReloadPlan planned = plan(loaded.effective, *loaded.config, false);
  std::vector<Difference> left = left_by(planned, differences(look(), &*loaded.config));
  return {{},
          std::move(planned),
          std::move(left),
          config::texts_of(loaded.warnings),
          seconds_to_confirm(),
          last_.value(kWentBack, false)};
}

ReloadPlan Reload::plan(const std::string& effective, const config::Config& config, bool reset) const {
  const running::Catalogue& now = parts_.catalogue;
  ReloadPlan out =
      plan_reload(with_host_facts(ordered_json::parse(now.effective()), now.config()),
                  with_host_facts(ordered_json::parse(effective), config), present_of(look(), reset), leaving());
  if (!reset) return out;
  const auto names = [&config](const std::string& path) {
    return config::find_node(config.root, "root", path) != nullptr;
  };
  plan_reset(out, left_by(out, differences(look(), &config)), names);
  return out;
}

std::vector<Leaving> Reload::leaving() const {
  std::vector<Leaving> out;
  parts_.catalogue.for_each_leaving([&](const std::string& path, const config::Node& node, const std::string& entry) {
    out.push_back({path, with_host_facts(ordered_json::parse(entry), node), parts_.operations.can_take_back(path)});
  });
  return out;
}

void Reload::begin(Answered answered, const Wishes& wishes) {
  if (stopping_) {
    log::Line(log::Level::warning, "root").text("not reloaded: ").text(kDaemonStops).write();
    return answered({{kDaemonStops}, {}});
  }
  waiting_.push_back(std::move(answered));
  add_wishes(wishes);
  if (!confirmation_.is_returning()) attempt_.hurry();
  go_on();
}

// The shortest time to confirm counts.
void Reload::add_wishes(const Wishes& wishes) {
  wishes_.reset = wishes_.reset || wishes.reset;
  if (wishes.confirm) wishes_.confirm = std::min(wishes_.confirm.value_or(*wishes.confirm), *wishes.confirm);
}

void Reload::go_on() {
  if (under_way() || !surroundings_.may_begin()) return;
  take_next();
  run();
}

// A return comes first, and nobody has asked for it.
void Reload::take_next() {
  if (!confirmation_.is_due()) {
    askers_ = std::exchange(waiting_, {});
    return;
  }
  confirmation_.begin_return();
  askers_.assign(1, [](const Result&) {});
}

// The shutdown ends what a trial has started; answers that the trial still waits for come too late.
void Reload::daemon_stops() {
  stopping_ = true;
  stop_confirming();
  for (const Answered& answered : std::exchange(waiting_, {})) answered({{kDaemonStops}, {}});
  settle({{kDaemonStops}, {}});
  if (!under_way()) return;
  steps_.abandon();
  attempt_.abandon();
  commit_.abandon();
  attempt_.end_trial("root");
  if (!attempt_.config) return finished({std::string(kDaemonStops) + ": the reload is incomplete"});
  take_back_generation();
  reject({kDaemonStops});
}

void Reload::resume(const std::string& last, std::optional<Unconfirmed> unconfirmed) {
  ordered_json json = ordered_json::parse(last, nullptr, false);
  if (json.is_object()) last_ = std::move(json);
  if (unconfirmed) confirmation_.resume(std::move(*unconfirmed));
  start_confirm_timer();
}

void Reload::run() {
  if (!under_way()) return;  // the daemon has begun to stop in the meantime
  surroundings_.on_change();
  events_.publish("reload_started", "root");
  manager_.reloading();
  if (confirmation_.is_returning()) return run_back();
  const Wishes wishes = std::exchange(wishes_, {});
  limit_ = wishes.confirm;
  config::Loaded loaded = load("");
  if (!loaded.config) return reject(config::texts_of(loaded.problems));
  warnings_ = config::texts_of(loaded.warnings);
  auto config = std::make_shared<config::Config>(std::move(*loaded.config));
  keep_what_stays(*config);
  if (std::string problem = parts_.users.assign(config->root, "root"); !problem.empty()) return reject({problem});
  ReloadPlan planned = plan(loaded.effective, *config, wishes.reset);
  attempt(std::move(config), std::move(loaded.effective), std::move(planned), wishes.reset);
}

void Reload::keep_what_stays(config::Config& config) const {
  if (surroundings_.overrule) surroundings_.overrule(config);
  config.pid_file = parts_.catalogue.config().pid_file;  // these two stay for the daemon's life
  config.control = parts_.catalogue.config().control;
}

void Reload::complete() {
  if (!under_way()) return;
  if (!waiting_.empty() || confirmation_.is_due()) {
    take_next();
    return run();
  }
  completing_ = true;
  warnings_.clear();  // they have been told
  events_.publish("reload_started", "root");
  manager_.reloading();
  const running::Catalogue& now = parts_.catalogue;
  attempt(std::make_shared<config::Config>(now.config()), now.effective(), missing(), false);
}

// As when a child became permanent while it was being stopped as a temporary one.
ReloadPlan Reload::missing() const {
  running::Catalogue& now = parts_.catalogue;
  const ordered_json file = ordered_json::parse(now.effective());
  ReloadPlan out = plan_reload(file, file, present_of(look(), false), leaving());
  const running::Overrides& overrides = now.overrides();
  std::erase_if(out.changes, [&overrides](const Change& change) {
    return change.kind != Change::Kind::added || overrides.is_erased(change.path) || overrides.is_stopped(change.path);
  });
  return out;
}

void Reload::attempt(std::shared_ptr<config::Config> config, std::string effective, ReloadPlan planned, bool reset) {
  began_ = events_.last_seq();
  const bool returns = confirmation_.is_returning();
  before_ = {parts_.catalogue.effective(), parts_.catalogue.in_effect()};
  attempt_.begin(std::move(config), std::move(effective), std::move(planned), reset);
  attempt_.as_far_as_possible = returns;
  if ((!waiting_.empty() || confirmation_.is_due()) && !returns) attempt_.hurry();
  if (!attempt_.plan.changes.empty()) parts_.catalogue.set_generation(parts_.catalogue.generation() + 1);
  plan_trials(attempt_);
  commit_.plan_steps();
  steps_.run([this](const Steps::End& end) { over(end); });
}

std::string Reload::why_not_started(const std::string& path) const {
  return surroundings_.why_not_started ? surroundings_.why_not_started(path, began_) : "";
}

void Reload::take_back_generation() {
  if (!attempt_.plan.changes.empty()) parts_.catalogue.set_generation(parts_.catalogue.generation() - 1);
}

void Reload::over(const Steps::End& end) {
  if (!end.undone) return finished(end.problems);
  take_back_generation();
  for (const std::string& path : attempt_.lenders) {
    if (net::Listener* const listener = parts_.listeners.at(path)) listener->restore_options();
  }
  if (attempt_.has_given_up()) give_way();
  reject(end.problems);
}

// To the reload that is asked for, or to the return.
void Reload::give_way() {
  if (waiting_.empty() && !confirmation_.is_due()) return;
  add_wishes({attempt_.reset, limit_});
  std::ranges::move(std::exchange(askers_, {}), std::back_inserter(waiting_));
}

void Reload::owe(const Result& result) {
  for (Answered& answered : std::exchange(askers_, {})) owing_.push_back({std::move(answered), result});
}

void Reload::settle(const Result& end) {
  const bool own = completing_ && end.problems.empty();
  for (const Owed& owed : std::exchange(owing_, {})) owed.answered(own ? owed.result : end);
}

void Reload::reject(std::vector<std::string> problems) {
  attempt_.config.reset();
  before_ = {};
  limit_.reset();
  if (confirmation_.is_returning()) return_failed(problems);
  for (const std::string& problem : problems) {
    log::Line(log::Level::error, "root").text("not reloaded: ").text(problem).write();
  }
  events_.publish("reload_rejected", "root", {{"errors", problems}});
  remember(problems, last_.value(kWentBack, false));
  if (completing_ && !attempt_.has_given_up()) settle({problems, {}});
  answer({std::move(problems), {}});
}

void Reload::finished(std::vector<std::string> problems) {
  log::Line(log::Level::info, "root")
      .text("reloaded")
      .field("changes", static_cast<std::int64_t>(attempt_.plan.changes.size()))
      .field("generation", parts_.catalogue.generation())
      .write();
  for (const std::string& pointer : attempt_.plan.needs_restart) {
    log::Line(log::Level::warning, "root").text(pointer).text(" changes only when the daemon is restarted").write();
  }
  for (const std::string& warning : warnings_) log::Line(log::Level::warning, "root").text(warning).write();
  for (const std::string& problem : problems) {
    log::Line(log::Level::error, "root").text("reloaded, but: ").text(problem).write();
  }
  ordered_json fields{{"changes", changes_json(attempt_.plan)}};
  if (!problems.empty()) fields["errors"] = problems;
  events_.publish("reload_done", "root", fields);
  const bool returned = std::exchange(went_back_, false);
  if (returned) problems.insert(problems.begin(), kNotConfirmed);
  if (!completing_ || !problems.empty()) remember(problems, returned || (completing_ && last_.value(kWentBack, false)));
  if (confirmation_.is_due()) problems.emplace_back("not confirmed in time; going back to the configuration before");
  const Result result{std::move(problems), attempt_.plan, {}, warnings_, seconds_to_confirm()};
  if (attempt_.has_given_up() || (!completing_ && !missing().changes.empty())) {
    owe(result);
  } else {
    settle(result);
  }
  answer(result);
}

// A reload that is refused leaves in effect what a return has brought back; one that completes the return is a part of
// it.
void Reload::remember(std::vector<std::string> errors, bool went_back) {
  if (went_back && completing_) errors.insert(errors.begin(), kNotConfirmed);
  last_ = {{"time", journal::wall_clock_text()}, {"ok", errors.empty()}, {"errors", errors}};
  if (went_back) last_[kWentBack] = true;
}

void Reload::answer(const Result& result) {
  manager_.ready();
  completing_ = false;
  const auto askers = std::exchange(askers_, {});
  take_next();
  for (const Answered& answered : askers) answered(result);
  if (under_way()) return parts_.later([this] { run(); });
  if (!owing_.empty()) {
    askers_.emplace_back([](const Result&) {});
    return parts_.later([this] { complete(); });
  }
  surroundings_.on_change();
}

}  // namespace bulkhead::reload
