#include "master/net/address_move.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <limits>

#include "master/net/holder.h"
#include "master/net/socket_address.h"

namespace bulkhead::net {

namespace {

// Below the overflow number of 16 bits and far above any user; -1 is not a user.
constexpr uid_t kNobodyElse = std::numeric_limits<uid_t>::max() - 2;
// No interface has this number, so no packet finds a socket that is bound to it.
constexpr int kNoInterface = std::numeric_limits<int>::max();

// Lets a socket share its port with others in this state, as long as it exists.
class Shareable {
 public:
  explicit Shareable(int socket) noexcept : socket_(socket) {
    struct stat status {};
    exclusive_ = fstat(socket, &status) == 0 && fchown(socket, kNobodyElse, static_cast<gid_t>(-1)) == 0;
    owner_ = status.st_uid;
    set(1);
  }
  ~Shareable() {
    set(0);
    if (exclusive_) (void)!fchown(socket_, owner_, static_cast<gid_t>(-1));
  }
  Shareable(const Shareable&) = delete;
  Shareable& operator=(const Shareable&) = delete;
  [[nodiscard]] bool exclusive() const noexcept { return exclusive_; }

 private:
  void set(int value) noexcept { setsockopt(socket_, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value); }
  int socket_;
  uid_t owner_ = 0;
  bool exclusive_ = false;  // with nobody else
};

// A kernel or a capability set that does not allow it leaves them to their closing: clients are then late, not refused.
void get_no_new_connection(int socket) noexcept {
  setsockopt(socket, SOL_SOCKET, SO_BINDTOIFINDEX, &kNoInterface, sizeof kNoInterface);
}

}  // namespace

int bind_beside(int socket, const config::ListenAddress& address, std::span<const int> in_the_way) {
  std::deque<Shareable> shareable;
  shareable.emplace_back(socket);
  for (const int one : in_the_way) shareable.emplace_back(one);
  if (!shareable.front().exclusive() && is_held_by_others(address, in_the_way)) return EADDRINUSE;
  const SocketAddress target = socket_address(address);
  return bind(socket, target.raw(), target.length) == 0 ? 0 : errno;
}

int listen_in_place_of(int socket, int backlog, std::span<const int> in_the_way, std::span<const int> leaving) {
  std::deque<Shareable> shareable;
  shareable.emplace_back(socket);
  for (const int one : in_the_way) shareable.emplace_back(one);
  for (const int one : leaving) shareable.emplace_back(one);
  // First, because the kernel would spread the clients over two sockets at one address.
  for (const int one : leaving) get_no_new_connection(one);
  if (listen(socket, backlog) != 0) return errno;
  for (const int one : in_the_way) get_no_new_connection(one);
  return 0;
}

}  // namespace bulkhead::net
