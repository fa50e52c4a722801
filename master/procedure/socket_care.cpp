#include "master/procedure/socket_care.h"

#include <algorithm>
#include <cerrno>
#include <optional>

namespace bulkhead::procedure {

namespace {

constexpr std::chrono::seconds kPause(1);
constexpr std::chrono::seconds kLongestPause(30);

// Looking whether somebody still listens there means to connect.
bool belongs_to_another(const net::ListeningSocket& socket, const sys::Error& error) {
  return error.code == EADDRINUSE && socket.address.form == config::ListenAddress::Form::unix_path;
}

}  // namespace

void SocketCare::look() {
  for (net::Listener* listener : listeners_.all()) look_at(*listener);
}

void SocketCare::look_again() {
  for (auto& [key, trouble] : troubles_) trouble.next = clock_();
  look();
}

void SocketCare::look_at(net::Listener& listener) {
  if (!listener.is_open() || listener.is_ending() || listener.gate().is_held_by(net::Gate::Holder::trial)) return;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    const net::Fault fault = net::fault_of(socket);
    if (fault != net::Fault::none) repair(listener, socket, fault);
  }
}

void SocketCare::repair(net::Listener& listener, const net::ListeningSocket& socket, net::Fault fault) {
  Trouble& trouble = troubles_[Key{&listener, socket.number}];
  const supervision::Instant now = clock_();
  if (now < trouble.next) return;
  const std::uint64_t before = listener.repairs();
  const std::optional<sys::Error> error = listener.repair(socket.number);
  if (listener.repairs() != before) workforce_.give_socket(listener, socket);
  if (!error) {
    narrator_.socket_repaired(listener.path(), socket.text, fault);
    trouble = {.next = now + kPause};
    return;
  }
  if (trouble.told != error->code) narrator_.socket_lost(listener.path(), socket.text, fault, *error);
  trouble.told = error->code;
  trouble.next = now + trouble.pause;
  trouble.pause = belongs_to_another(socket, *error) ? std::min(trouble.pause * 2, kLongestPause) : kPause;
}

void SocketCare::forget(const net::Listener& listener) {
  std::erase_if(troubles_, [&listener](const auto& one) { return one.first.first == &listener; });
}

}  // namespace bulkhead::procedure
