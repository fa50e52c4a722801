// The key `sandbox`: a word, which is a preset, or an object that starts from one.
#pragma once

#include "master/config/section.h"
#include "master/sandbox/policy.h"

namespace bulkhead::config {

// The effective value is always the whole object. Reports what contradicts itself.
[[nodiscard]] sandbox::Policy read_sandbox(Context& context, const Entry& entry);

}  // namespace bulkhead::config
