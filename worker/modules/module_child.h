// Runs a module's serve() in the process of its connection: places the descriptors, and ends the process afterwards.
#pragma once

#include "bulkhead/handler.h"
#include "worker/modules/module.h"

namespace bulkhead::modules {

// In a fresh child of fork(3), with the worker's signals blocked. Never returns, and runs nothing that the worker has
// registered with atexit(3), so that nothing of the worker's is done twice.
[[noreturn]] void serve_module(const Module& module, const ModuleDescriptors& descriptors,
                               const ModuleConnection& connection) noexcept;

// bulkhead_host::log, in the worker and in its children.
void log_for_module(bulkhead_level level, const char* text);
void set_module_log_path(const char* listener) noexcept;  // must live as long as the process

}  // namespace bulkhead::modules
