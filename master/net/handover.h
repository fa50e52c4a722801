// The state of a listener, beyond its configuration, that another program needs to continue with it. Descriptors are
// numbers here; resume() takes ownership of the descriptors that a struct names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::net {

struct SocketHandover {
  std::uint32_t number = 0;
  std::string address;  // the entry of `listen`
  int fd = -1;
  std::string file;  // path of a file that the daemon created and removes; empty: none
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  int inherited = -1;  // the number with which it was passed (InheritedHandover); -1: it was not inherited
};

struct HandlerNames {
  std::uint32_t generation = 0;
  std::vector<std::string> names;
};

// What the master wants done with a slot (worker/ipc/master_word.h), and no worker has done yet.
struct OrderHandover {
  std::uint32_t slot = 0;
  std::uint64_t word = 0;
};

struct ListenerHandover {
  std::string path;
  std::uint32_t number = 0;
  bool announced = false;  // "Serving requests" has been logged, as the narrator knows
  bool suspended = false;
  std::uint32_t next_socket = 0;
  int table = -1;  // -1: the table was never opened
  int bell = -1;
  int drain_read = -1;
  int drain_write = -1;
  std::uint32_t room = 0;  // of the table
  std::uint32_t first_use = 0;
  std::uint32_t most_slots = 0;
  std::uint32_t max_connections = 0;  // the limits in force
  std::uint32_t rate_count = 0;
  std::int64_t rate_per_ns = 0;
  std::vector<std::uint64_t> counts;  // as shown: completed, crashed, client_gone, refused
  std::vector<OrderHandover> orders;
  std::vector<SocketHandover> sockets;  // empty: the listener is stopped
  std::vector<HandlerNames> handlers;
};

struct InheritedHandover {
  int number = -1;
  std::string name;
  int fd = -1;
};

}  // namespace bulkhead::net
