#include "master/config/default_file.h"

#include <system_error>

#include "bulkhead_version.h"

namespace bulkhead::config {

namespace fs = std::filesystem;

std::string default_config_file(const fs::path& program) {
  const fs::path built_for = fs::path(BULKHEAD_SYSCONFDIR) / "bulkhead.json";
  const fs::path prefix = program.parent_path().parent_path();
  if (program.parent_path().filename() != "sbin" || prefix == BULKHEAD_PREFIX) return built_for;
  const fs::path beside = (prefix == "/usr" ? fs::path("/") : prefix) / "etc/bulkhead/bulkhead.json";
  std::error_code error;
  return fs::exists(beside, error) ? beside : built_for;
}

std::string default_config_file() {
  std::error_code error;
  return default_config_file(fs::read_symlink("/proc/self/exe", error));
}

}  // namespace bulkhead::config
