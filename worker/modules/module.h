// One handler module in a worker: its copy, what it exports, and the bulkhead_host that it was given.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bulkhead/handler.h"
#include "worker/modules/module_library.h"
#include "worker/modules/modules.h"

namespace bulkhead::modules {

class Module {
 public:
  // `plan` and `index` name the handler. Strings that the module may keep pointers to are copied from the plan, whose
  // memory children do not have.
  Module(const ipc::Plan& plan, std::uint32_t index);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module() = default;

  [[nodiscard]] std::optional<ModuleFailure> copy();
  [[nodiscard]] std::optional<ModuleFailure> load();
  void finish() noexcept;

  [[nodiscard]] const bulkhead_handler& handler() const noexcept { return handler_; }
  [[nodiscard]] const bulkhead_host& host() const noexcept { return host_; }
  [[nodiscard]] void* state() const noexcept { return state_; }
  [[nodiscard]] const char* const* environment() const noexcept { return environment_.data(); }

 private:
  [[nodiscard]] ModuleFailure failed(ipc::Stage stage, const std::string& what) const;
  [[nodiscard]] std::string initialise();
  void log_loaded() const;

  std::string path_;
  std::string name_;
  std::string options_;
  std::string listener_;
  std::vector<std::string> variables_;
  std::vector<const char*> environment_;  // they, and a null
  ModuleCopy copy_;
  bulkhead_handler handler_{};
  bulkhead_host host_{};
  void* state_ = nullptr;
};

}  // namespace bulkhead::modules
