// What the same words of a configuration stand for at another time: a library that was overwritten, a user with other
// groups. Both are changes although the file still says the same.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "master/config/config.h"

namespace bulkhead::reload {

// The effective file of `config`, with what its modules' files, users and groups were when it was read: for
// plan_reload().
[[nodiscard]] nlohmann::ordered_json with_host_facts(nlohmann::ordered_json file, const config::Config& config);
// The same for one entry of such a file.
[[nodiscard]] nlohmann::ordered_json with_host_facts(nlohmann::ordered_json entry, const config::Node& node);

}  // namespace bulkhead::reload
