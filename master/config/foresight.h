// What a start would find in the file system, in the network and in the daemon's privileges, said when the file is
// read: so bulkheadd --check, bulkheadctl check and a reload say it with its place. What certainly fails is a problem;
// what may be meant so, or may change until the start, is a warning. Nothing is changed. Only where Host::foresees().
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// The programs and libraries that were mentioned since the last call, and the directories and privileges of what runs
// them.
void foresee_child(Context& context, const Section& section, const ChildKeys& keys);

// The addresses that a listener itself binds.
void foresee_addresses(Context& context, const Section& section, const Listener& listener);

void foresee_log_target(Context& context, const Entry& entry, const std::string& target);
void foresee_pid_file(Context& context, const Entry& entry, const std::string& path);
void foresee_control_socket(Context& context, const Entry& entry, const std::string& path);

}  // namespace bulkhead::config
