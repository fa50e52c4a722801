// The default path of the configuration.
#pragma once

#include <filesystem>
#include <string>

namespace bulkhead::config {

// The file that was installed with `program`, the file of the running bulkheadd. `cmake --install --prefix P` may have
// put it below another prefix than the one it was built for: P/sbin/bulkheadd then reads P/etc/bulkhead/bulkhead.json
// if this exists (of /usr: /etc/bulkhead/bulkhead.json). Everything else reads the file below the build's prefix.
[[nodiscard]] std::string default_config_file(const std::filesystem::path& program);

// For this process.
[[nodiscard]] std::string default_config_file();

}  // namespace bulkhead::config
