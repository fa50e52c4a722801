// Makes an overwritten library a change, although the configuration is the same.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "master/config/config.h"

namespace bulkhead::reload {

// The effective file of `config`, with the state of its modules' files when it was read: for plan_reload().
[[nodiscard]] nlohmann::ordered_json with_module_files(nlohmann::ordered_json file, const config::Config& config);

}  // namespace bulkhead::reload
