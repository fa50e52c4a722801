#include "master/process/worker_programs.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <filesystem>

#include "bulkhead_version.h"

namespace bulkhead::process {

namespace {

constexpr const char* kPlainWorker = "bulkhead-worker";
constexpr const char* kModuleWorker = "bulkhead-module-worker";

std::filesystem::path own_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

sys::Fd open_program(const char* name) {
  const std::filesystem::path beside = own_program().parent_path();
  sys::Fd program;
  for (const auto& folder : {beside, beside / "../libexec/bulkhead", std::filesystem::path(BULKHEAD_LIBEXECDIR)}) {
    program.reset(open((folder / name).c_str(), O_PATH | O_CLOEXEC));
    if (program) break;
  }
  return program;
}

sys::Error not_found(const char* name) {
  return {"open", fmt::format("{} beside {} or in {}", name, own_program().string(), BULKHEAD_LIBEXECDIR), ENOENT};
}

}  // namespace

sys::Result<WorkerPrograms> open_worker_programs() {
  WorkerPrograms out{open_program(kPlainWorker), open_program(kModuleWorker)};
  if (!out.plain) return not_found(kPlainWorker);
  return out;
}

sys::Result<int> WorkerPrograms::of(const config::Listener& listener) const {
  if (!config::has_modules(listener)) return plain.get();
  if (!modules) return not_found(kModuleWorker);
  return modules.get();
}

}  // namespace bulkhead::process
