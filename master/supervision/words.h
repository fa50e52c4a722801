// The words of the rules' enums, as the configuration, the control protocol, the log and scenarios have them. Pure.
#pragma once

#include "master/supervision/child_spec.h"
#include "master/supervision/command.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::supervision {

inline constexpr sys::EnumWords<NodeType, sys::up_to(NodeType::worker)> kNodeTypeWords{"supervisor", "listener",
                                                                                       "process", "worker"};
inline constexpr sys::EnumWords<Strategy, sys::up_to(Strategy::rest_for_one)> kStrategyWords{
    "one_for_one", "one_for_all", "rest_for_one"};
inline constexpr sys::EnumWords<Restart, sys::up_to(Restart::temporary)> kRestartWords{"permanent", "transient",
                                                                                       "temporary"};
inline constexpr sys::EnumWords<AutoShutdown, sys::up_to(AutoShutdown::all_significant)> kAutoShutdownWords{
    "never", "any_significant", "all_significant"};
// Only OTP tells `restarting` from `starting`; find() never finds it.
inline constexpr sys::EnumWords<NodeState, sys::up_to(NodeState::failed)> kNodeStateWords{
    "starting", "running", "waiting", "starting", "stopping", "stopped", "failed"};
inline constexpr sys::EnumWords<ReplyError, sys::up_to(ReplyError::noproc)> kReplyErrorWords{
    "ok",           "not_found",    "running", "restarting", "already_started", "already_present",
    "start_failed", "invalid_spec", "noproc"};
inline constexpr sys::EnumWords<Cause, sys::up_to(Cause::start_failed)> kCauseWords{"request", "parent", "intensity",
                                                                                    "auto_shutdown", "start_failed"};

}  // namespace bulkhead::supervision
