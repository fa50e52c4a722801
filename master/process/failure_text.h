// Why a child failed, in words that follow its path: "was not ready within start_timeout".
#pragma once

#include <string>
#include <string_view>

#include "worker/ipc/message.h"

namespace bulkhead::process {

// The remark at the end of a program that has exited while a process that it has started continues.
inline constexpr const char* kInBackground =
    "seems to have gone to the background, where it cannot be supervised: it must be told to stay in the foreground";
inline constexpr const char* kNotReadyInTime = "was not ready within start_timeout";
inline constexpr const char* kStillStarting = "was still starting when the daemon began to stop";

// The failure of a step before the child could serve: "failed while changing directory: No such file or directory".
// `error` is an errno, or 0; `detail` may be empty.
[[nodiscard]] std::string failure_text(ipc::Stage stage, int error, std::string_view detail = {});

}  // namespace bulkhead::process
