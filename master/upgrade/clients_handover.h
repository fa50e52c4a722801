// The control socket and its clients, for another program that continues with them. Descriptors are numbers here, and
// the code that resumes something takes over the ones that it names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::upgrade {

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

}  // namespace bulkhead::upgrade
