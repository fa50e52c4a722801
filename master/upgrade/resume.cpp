// The second half of an upgrade: restores the state of the previous program in the new one.
#include <utility>

#include "master/host/descriptor_limit.h"
#include "master/upgrade/rehearsal.h"
#include "master/upgrade/upgrade.h"
#include "worker/log/log.h"

namespace bulkhead::upgrade {

std::string Upgrade::resume(Handover& from, const std::string& rolled_back) {
  previous_version_ = from.version;
  path_ = from.program;
  came_back_ = rolled_back;
  incarnation_ = rolled_back.empty() ? from.incarnation + 1 : from.incarnation;
  const sys::Fd own_program(from.own_program);
  process::WorkerPrograms programs{sys::Fd(from.worker_program), sys::Fd(from.module_worker_program)};
  if (!rolled_back.empty()) estate_.children.set_programs(std::move(programs));
  last_ = nlohmann::ordered_json::parse(from.last_upgrade, nullptr, false);
  if (last_.is_discarded()) last_ = nullptr;

  host::resume_descriptor_limit(from.descriptor_limit);
  estate_.readiness.resume();
  estate_.catalogue.set_generation(from.generation);
  estate_.listeners.set_next_number(from.next_listener);
  estate_.started = from.started;
  estate_.users.resume(from.pools);
  estate_.services.manager().resume(from.services);
  estate_.inherited.resume(from.inherited);
  estate_.events.resume(std::move(from.events), from.last_seq);
  estate_.reload.resume(from.last_reload, unconfirmed_of(from));
  estate_.narrator.resume(from.runs);
  estate_.children.set_generation(from.generation);
  estate_.children.set_incarnation(incarnation_);
  return resume_children(from);
}

std::string Upgrade::resume_children(const Handover& from) {
  Blueprint blueprint = blueprint_of(from);
  for (std::size_t i = 0; i < blueprint.added.size(); ++i) {
    estate_.catalogue.add(std::move(blueprint.added[i]), from.added[i]);
  }
  running::Catalogue& catalogue = estate_.catalogue;
  for (std::size_t i = 0; i < blueprint.leaving.size(); ++i) {
    catalogue.leave(std::move(blueprint.leaving[i]), from.leaving[i]);
  }
  catalogue.overrides().resume(from.overrides);
  const auto find = [&catalogue](const std::string& path) { return catalogue.find(path); };
  std::string problem = estate_.engine.restore(
      from.tree, [&](const std::string& path, supervision::NodeType type) -> std::optional<supervision::ChildSpec> {
        auto spec = spec_of(path, type, find);
        return spec ? std::optional(catalogue.overrides().applied_to(std::move(*spec), path)) : std::nullopt;
      });
  if (!problem.empty()) return problem;
  estate_.engine.update(catalogue.spec_of(catalogue.config().root, "root"));
  for (const net::ListenerHandover& listener : from.listeners) {
    if (const auto error = estate_.listeners.resume(listener, *find(listener.path))) return error->text();
    if (listener.announced) estate_.readiness.resume(listener.path);
  }
  std::vector<supervision::RunId> asked;
  for (const journal::RunHandover& run : from.runs) {
    if (run.asked && !run.ended) asked.push_back(run.run);
  }
  estate_.children.resume(from, asked, find);
  estate_.endings.resume(from.endings);
  estate_.operations.resume(from.operations);
  if (from.reload_asked) reload_asked_.emplace();
  if (from.reload_asked && from.reload_wishes) reload_asked_ = {from.reload_wishes->reset, from.reload_wishes->confirm};
  return "";
}

void Upgrade::resumed() {
  estate_.services.manager().ready();
  stage_ = Stage::renewing;  // so that the reload waits
  if (const auto asked = std::exchange(reload_asked_, std::nullopt)) {
    estate_.reload.begin([](const reload::Reload::Result&) {}, *asked);
  }
  if (!came_back_.empty()) return rolled_back(came_back_);
  surroundings_.on_change();
  done();
  renewal_.begin(incarnation_, [this](const procedure::Outcome& outcome) { renewed(outcome); });
}

// Even after a problem there are workers: if workers of this program do not start, those of the previous one stay.
void Upgrade::renewed(const procedure::Outcome& outcome) {
  if (stage_ != Stage::renewing) return;
  if (outcome) return finish("");
  log::Line(log::Level::error, "root").text("upgraded, but not all workers were replaced: ").text(outcome.text).write();
  remember(outcome.text);
  finish(outcome.text);
}

}  // namespace bulkhead::upgrade
