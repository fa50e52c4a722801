// What is told and to whom, when another program goes on with it. Descriptors are numbers here, and whoever resumes
// something takes over the ones that it names.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "master/supervision/event.h"

namespace bulkhead::control {

struct RunHandover {
  supervision::RunId run = 0;
  pid_t pid = 0;
  int stop_signal = 0;
  bool asked = false;
  bool ended = false;
  int wait_status = 0;
  std::string remark;
};

// A client that is not in the middle of an answer. Others have to connect again, and so has who follows the events.
struct ClientHandover {
  int fd = -1;
  std::string id;     // of the request that it waits for, as JSON; empty: none
  std::string input;  // the next request, as far as it has come
};

struct ServerHandover {
  int fd = -1;
  std::string file;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::vector<ClientHandover> clients;
};

}  // namespace bulkhead::control
