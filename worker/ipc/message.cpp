#include "worker/ipc/message.h"

#include <cstddef>

namespace bulkhead::ipc {

namespace {

constexpr const char* kStages[] = {"starting",
                                   "making a session",
                                   "placing descriptors",
                                   "setting oom_score_adj",
                                   "setting the I/O priority",
                                   "setting the priority",
                                   "setting resource limits",
                                   "changing the root directory",
                                   "changing directory",
                                   "giving up privileges",
                                   "setting supplementary groups",
                                   "setting the group",
                                   "setting the user",
                                   "executing the program",
                                   "reading the plan",
                                   "mapping the connection table",
                                   "loading the handler module",
                                   "initialising the handler module",
                                   "setting up its loop"};
static_assert(sizeof kStages / sizeof kStages[0] == static_cast<std::size_t>(Stage::count_));

}  // namespace

const char* stage_text(Stage stage) noexcept {
  return stage < Stage::count_ ? kStages[static_cast<std::size_t>(stage)] : "starting";
}

}  // namespace bulkhead::ipc
