// The implementation of modules.h, on dlopen(3) and fork(3).
#pragma once

#include <memory>
#include <vector>

#include "worker/child/start_gate.h"
#include "worker/modules/module.h"
#include "worker/modules/modules.h"

namespace bulkhead::modules {

class LoadedModules final : public Modules {
 public:
  [[nodiscard]] std::optional<ModuleFailure> copy(const ipc::Plan& plan) override;
  [[nodiscard]] std::optional<ModuleFailure> load(ModuleDescriptors descriptors, std::uint32_t slots) override;
  [[nodiscard]] const char* const* environment(std::uint32_t handler) const noexcept override;
  [[nodiscard]] pid_t start(std::uint32_t handler, std::uint32_t slot, const ModuleConnection& connection,
                            std::int32_t* pid_slot) noexcept override;
  void finish() noexcept override;

 private:
  std::vector<std::unique_ptr<Module>> modules_;  // by index in the plan; null for other handlers
  std::string listener_;
  ModuleDescriptors descriptors_;
  std::unique_ptr<child::StartGate> gate_;
};

}  // namespace bulkhead::modules
