// The narrator's record of a run, for another program to continue with.
#pragma once

#include <sys/types.h>

#include <string>

#include "master/supervision/event.h"

namespace bulkhead::journal {

struct RunHandover {
  supervision::RunId run = 0;
  pid_t pid = 0;
  int stop_signal = 0;
  bool asked = false;
  bool ended = false;
  int wait_status = 0;
  std::string remark;
};

}  // namespace bulkhead::journal
