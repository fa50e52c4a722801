#include "worker/modules/loaded_modules.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "worker/modules/module_child.h"

namespace bulkhead::modules {

namespace {

constexpr unsigned kFinishSeconds = 1;

// A worker's own environment is almost empty. The copies are never freed: a module may keep a pointer that getenv(3)
// returned.
void set_environment(const char* const* entries) {
  clearenv();
  for (; *entries != nullptr; ++entries) {
    const std::string text(*entries);
    const std::size_t equals = text.find('=');
    setenv(text.substr(0, equals).c_str(), text.c_str() + equals + 1, 1);
  }
}

}  // namespace

std::optional<ModuleFailure> LoadedModules::copy(const ipc::Plan& plan) {
  listener_ = plan.string(plan.header().listener_path);
  set_module_log_path(listener_.c_str());
  for (std::uint32_t i = 0; i < plan.header().handler_count; ++i) {
    modules_.emplace_back();
    if (plan.handler(i).kind != ipc::HandlerKind::module) continue;
    modules_.back() = std::make_unique<Module>(plan, i);
    if (auto failure = modules_.back()->copy()) return failure;
  }
  return std::nullopt;
}

std::optional<ModuleFailure> LoadedModules::load(ModuleDescriptors descriptors, std::uint32_t slots) {
  descriptors_ = descriptors;
  for (const auto& module : modules_) {
    if (!module) continue;
    set_environment(module->environment());
    if (auto failure = module->load()) return failure;
  }
  gate_ = std::make_unique<child::StartGate>(slots);
  return std::nullopt;
}

const char* const* LoadedModules::environment(std::uint32_t handler) const noexcept {
  return modules_[handler]->environment();
}

pid_t LoadedModules::start(std::uint32_t handler, std::uint32_t slot, const ModuleConnection& connection,
                           std::int32_t* pid_slot) noexcept {
  const pid_t worker = getpid();
  gate_->close(slot);
  const pid_t pid = fork();
  if (pid == 0) {
    if (!gate_->pass(slot, worker)) _exit(EXIT_FAILURE);
    serve_module(*modules_[handler], descriptors_, connection);
  }
  if (pid < 0) return -1;
  *pid_slot = pid;
  gate_->open(slot, pid);
  return pid;
}

void LoadedModules::finish() noexcept {
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarms, nullptr);
  alarm(kFinishSeconds);
  for (const auto& module : modules_) {
    if (module) module->finish();
  }
}

}  // namespace bulkhead::modules
