// What a listener is, beyond its configuration, when another program goes on with it. Descriptors are numbers here, and
// whoever resumes something takes over the ones that it names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::net {

struct SocketHandover {
  std::uint32_t number = 0;
  std::string address;  // the entry of `listen`
  int fd = -1;
  std::string file;  // that we made and will remove; empty: none
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  int inherited = -1;  // the number under which it came (InheritedHandover); -1: it did not
};

struct HandlerNames {
  std::uint32_t generation = 0;
  std::vector<std::string> names;
};

struct ListenerHandover {
  std::string path;
  std::uint32_t number = 0;
  bool announced = false;  // "Serving requests" has been logged, as the narrator knows
  bool suspended = false;
  std::uint32_t next_socket = 0;
  int table = -1;  // -1: it was never opened
  int bell = -1;
  int drain_read = -1;
  int drain_write = -1;
  std::vector<SocketHandover> sockets;  // none: it is stopped
  std::vector<HandlerNames> handlers;
};

struct InheritedHandover {
  int number = -1;
  std::string name;
  int fd = -1;
};

}  // namespace bulkhead::net
