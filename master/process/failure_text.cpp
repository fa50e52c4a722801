#include "master/process/failure_text.h"

#include <fmt/format.h>

#include <cstring>

#include "master/journal/exit_text.h"

namespace bulkhead::process {

std::string failure_text(ipc::Stage stage, int error, std::string_view detail) {
  if (stage == ipc::Stage::pre_start) return "failed in its pre_start, which " + journal::exit_text(error);
  std::string out = fmt::format("failed while {}: {}", ipc::stage_text(stage), detail);
  if (error == 0) return out;
  const char* const reason = strerrordesc_np(error);
  return out + (detail.empty() ? "" : ": ") + (reason != nullptr ? reason : "unknown error");
}

}  // namespace bulkhead::process
