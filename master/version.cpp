#include "master/version.h"

#include "bulkhead_version.h"

const char* bulkhead::version() noexcept {
  return BULKHEAD_VERSION;
}
