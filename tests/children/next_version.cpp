// In place of master/version.cpp: all else of the daemon is the same.
#include "master/version.h"

const char* bulkhead::version() noexcept {
  return "next";
}
