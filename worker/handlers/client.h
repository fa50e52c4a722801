// The client of a built-in handler: its connection, `idle_timeout`, and how the connection ended. Runs in a connection
// child: raw calls (worker/sys/raw.h), no heap, nothing but the stack.
//
// A connection is idle if no byte came while the handler waited for one, or none was taken while it waited to send. A
// client that reads slowly, but reads, is not idle. The kernel keeps the time: SO_RCVTIMEO (socket(7)) costs one call
// per connection where poll(2) would cost one more for every read; only a full socket is polled.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/ipc/exit_code.h"

namespace bulkhead::handlers {

class Client {
 public:
  // A blocking stream socket, to which `idle_timeout_ns` is applied; 0: none.
  Client(int connection, std::int64_t idle_timeout_ns) noexcept;

  // Waits for input. Returns the number of bytes read; 0: no more will come, and how() says why.
  [[nodiscard]] std::size_t read(char* buffer, std::size_t size) noexcept;
  // The same for input that is not looked at; TCP does not even copy it (MSG_TRUNC, tcp(7)).
  [[nodiscard]] std::size_t discard(char* buffer, std::size_t size) noexcept;
  // Sends all of it, however slowly the client reads. False: it failed, see how().
  [[nodiscard]] bool write(const char* bytes, std::size_t length) noexcept;
  // As write(), and input that comes meanwhile is discarded: some clients read only after they have sent everything.
  [[nodiscard]] bool write_and_discard(const char* bytes, std::size_t length) noexcept;
  // For a handler that has sent everything: the client sees the end, and its input is discarded for a moment. A close
  // with unread input would reset the connection, and the client could lose what it was sent (RFC 1122, 4.2.2.13).
  void finish() noexcept;

  // The client has sent its last byte, and may still read.
  [[nodiscard]] bool at_end_of_input() const noexcept { return ended_; }
  [[nodiscard]] ipc::ExitCode how() const noexcept { return how_; }

 private:
  void set_read_timeout(std::int64_t nanoseconds) noexcept;
  [[nodiscard]] std::size_t received(long result) noexcept;
  [[nodiscard]] bool wait_for_room(bool discarding) noexcept;
  void throw_away() noexcept;
  [[nodiscard]] bool send_all(const char* bytes, std::size_t length, bool discarding) noexcept;
  [[nodiscard]] int queued() const noexcept;

  int connection_;
  bool ended_ = false;
  ipc::ExitCode how_ = ipc::ExitCode::done;
  std::int64_t idle_timeout_ns_;
};

}  // namespace bulkhead::handlers
