// The control socket and its clients, for another program that continues with them. Descriptors are numbers here, and
// the code that resumes a struct takes over the descriptors that it names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::upgrade {

// A client that is not in the middle of an answer. Other clients have to connect again, and so have clients that follow
// the events.
struct ClientHandover {
  int fd = -1;
  std::string id;      // of the request whose answer it waits for, as JSON; empty: none
  std::string method;  // of that request
  std::string params;  // of that request, as JSON
  std::string input;   // the part of the next request that has arrived
};

struct ServerHandover {
  int fd = -1;
  std::string file;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::vector<ClientHandover> clients;
};

}  // namespace bulkhead::upgrade
