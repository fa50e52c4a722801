// The answer to `connections`, in pieces: an array with one object for each connection, straight from the listeners'
// tables, so that a hundred thousand of them neither hold the master up nor cost it memory. A connection that lives as
// long as the answer takes is listed exactly once; one that begins or ends meanwhile may be missing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "master/net/listener.h"
#include "worker/ipc/tcp_look.h"

namespace bulkhead::control {

class ConnectionList {
 public:
  using Listeners = std::map<std::string, std::unique_ptr<net::Listener>>;

  // `listeners` must outlive it; its entries may come and go. Lists the connections of the listeners at or below the
  // path, or of the worker there.
  explicit ConnectionList(const Listeners& listeners, std::string path = "root")
      : listeners_(listeners), of_(std::move(path)) {}

  // Appends the next piece of the array's text, at most kPerPiece connections. False: that was the last.
  [[nodiscard]] bool next(std::string& out);

  static constexpr std::uint32_t kPerPiece = 32;
  static constexpr std::uint32_t kSlotsPerPiece = 4096;  // examined

 private:
  void next_of(const net::Listener& listener, std::uint32_t last, std::string& out);

  [[nodiscard]] bool has_any_of(const net::Listener& listener) const;
  [[nodiscard]] bool concerns(const net::Listener& listener, const ipc::Slot& slot) const;

  const Listeners& listeners_;
  ipc::TcpDiag sockets_;
  std::string of_;
  std::string path_;  // of the present listener
  std::uint32_t number_ = 0;
  std::uint32_t slot_ = 0;
  bool begun_ = false;
  bool any_ = false;
};

}  // namespace bulkhead::control
