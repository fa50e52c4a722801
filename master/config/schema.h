// The option table as a JSON Schema (draft 7, which editors know): etc/bulkhead.schema.json.
#pragma once

#include <string>

namespace bulkhead::config {

[[nodiscard]] std::string json_schema();

}  // namespace bulkhead::config
