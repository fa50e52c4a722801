#include "worker/modules/module.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <utility>

#include "bulkhead_version.h"
#include "worker/ipc/channel.h"
#include "worker/log/log.h"
#include "worker/modules/module_child.h"
#include "worker/modules/module_probe.h"
#include "worker/modules/process_state.h"
#include "worker/sys/children.h"

namespace bulkhead::modules {

namespace {

std::string utc(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &parts)));
}

// A worker exits by _exit(2), so only a module's exit(3) comes here. Functions that the module registered have run by
// now; those registered before it must not run.
void on_exit_of_module(int status, void* name) {
  const std::string text = *static_cast<const std::string*>(name) + " called exit(" + std::to_string(status) + ")";
  ipc::send_failure(ipc::kChannelFd, ipc::Stage::module_init, 0, text);
  sys::end_children();
  _exit(status == 0 ? EXIT_FAILURE : status);
}

}  // namespace

Module::Module(const ipc::Plan& plan, std::uint32_t index) : listener_(plan.string(plan.header().listener_path)) {
  const auto strings = plan.vector(plan.handler(index).argv);
  if (strings.size() > 2) {
    path_ = strings[0];
    options_ = strings[1];
  }
  for (const char* variable : plan.vector(plan.handler(index).environment)) {
    if (variable != nullptr) variables_.emplace_back(variable);
  }
  for (const std::string& variable : variables_) environment_.push_back(variable.c_str());
  environment_.push_back(nullptr);
  name_ = path_.substr(path_.rfind('/') + 1);
  const ipc::PlanHeader& header = plan.header();
  host_ = {BULKHEAD_HANDLER_ABI, sizeof host_,     BULKHEAD_VERSION, listener_.c_str(), header.worker,
           header.generation,    options_.c_str(), options_.size(),  log_for_module};
}

ModuleFailure Module::failed(ipc::Stage stage, const std::string& what) const {
  return {stage, name_ + " " + what};
}

std::optional<ModuleFailure> Module::copy() {
  auto copy = copy_module(path_.c_str());
  if (!copy) return ModuleFailure{ipc::Stage::module, copy.error().text()};
  copy_ = std::move(*copy);
  return std::nullopt;
}

std::optional<ModuleFailure> Module::load() {
  const std::string path = copy_.path();
  if (const std::string verdict = probe_module(path); !verdict.empty()) return failed(ipc::Stage::module, verdict);
  on_exit(on_exit_of_module, &name_);
  const ProcessState before = ProcessState::capture();
  const ModuleOrProblem loaded = load_module(path);
  if (const auto* problem = std::get_if<std::string>(&loaded)) return failed(ipc::Stage::module, "failed: " + *problem);
  handler_ = std::get<bulkhead_handler>(loaded);
  copy_.memfd.reset();
  log_loaded();
  if (const std::string problem = initialise(); !problem.empty()) return failed(ipc::Stage::module_init, problem);
  const std::string change = ProcessState::capture().change_since(before, ProcessState::Descriptors::ignore);
  if (!change.empty()) return failed(ipc::Stage::module_init, change);
  std::fflush(nullptr);  // or every child would write it too
  return std::nullopt;
}

std::string Module::initialise() {
  if (handler_.init == nullptr) return "";
  char error[256] = "";
  try {
    const int result = handler_.init(&host_, &state_, error, sizeof error);
    error[sizeof error - 1] = '\0';
    if (result == 0) return "";
    return error[0] == '\0' ? "returned " + std::to_string(result) + " from init()" : std::string("says: ") + error;
  } catch (const std::exception& exception) {
    return std::string("threw an exception: ") + exception.what();
  } catch (...) {
    return "threw an exception";
  }
}

void Module::log_loaded() const {
  const std::string id = build_id_of(reinterpret_cast<const void*>(handler_.serve));
  log::Line line(log::Level::info, listener_);
  line.text("loaded the handler module ").text(path_).field("size", static_cast<std::int64_t>(copy_.size));
  line.field("modified", utc(copy_.modified));
  if (!id.empty()) line.field("build_id", id);
  line.write();
}

void Module::finish() noexcept {
  if (handler_.fini != nullptr) handler_.fini(state_);
}

}  // namespace bulkhead::modules
