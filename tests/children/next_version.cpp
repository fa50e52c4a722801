// In place of master/version.cpp: the rest of the daemon is the same.
#include "master/version.h"

const char* bulkhead::version() noexcept {
  return "next";
}
