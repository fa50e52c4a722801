#include "master/running/listeners.h"

#include <cerrno>
#include <thread>
#include <utility>

#include "master/supervision/path.h"

namespace bulkhead::running {

namespace {

constexpr auto kBindAgain = std::chrono::milliseconds(50);

}  // namespace

net::Listener* Listeners::at(const std::string& path) const {
  const auto found = listeners_.find(path);
  return found == listeners_.end() ? nullptr : found->second.get();
}

std::vector<net::Listener*> Listeners::below(const std::string& path) const {
  std::vector<net::Listener*> out;
  for (const auto& [at, listener] : listeners_) {
    if (supervision::is_at_or_below(at, path)) out.push_back(listener.get());
  }
  return out;
}

std::vector<net::Listener*> Listeners::all() const {
  std::vector<net::Listener*> out;
  for (const auto& [at, listener] : listeners_) out.push_back(listener.get());
  return out;
}

net::Listener* Listeners::serving_at(const std::string& path) const {
  net::Listener* const listener = at(path);
  return listener != nullptr && listener->is_open() && !listener->is_ending() ? listener : nullptr;
}

net::Listener& Listeners::make(std::uint32_t number, const config::Node& node, const std::string& path) {
  auto& listener = listeners_[path];
  listener = std::make_unique<net::Listener>(number, path, *node.listener, inherited_);
  described_by_[path] = &node;
  for (const auto& observer : made_) observer(*listener);
  return *listener;
}

std::optional<sys::Error> Listeners::open(net::Listener& listener, const Lend& lend) {
  auto error = listener.open(lend);
  while (error && error->code == EADDRINUSE && now() < patient_until_) {
    std::this_thread::sleep_for(kBindAgain);
    error = listener.open(lend);
  }
  if (error) return error;
  for (const auto& observer : bound_) observer(listener);
  return std::nullopt;
}

std::optional<sys::Error> Listeners::add(const config::Node& node, const std::string& path, const Lend& lend) {
  for (const config::Node& child : node.children) {
    if (auto error = add(child, supervision::child_of(path, child.spec.id), lend)) return error;
  }
  if (!node.listener) return std::nullopt;
  return open(make(next_number_++, node, path), lend);
}

std::vector<sys::Error> Listeners::begin_listening() {
  const auto others = [this](const config::ListenAddress& address) {
    net::Listener::Others out;
    for (const auto& [path, listener] : listeners_) {
      std::vector<int>& where = listener->is_ending() ? out.leaving : out.in_the_way;
      for (const int socket : listener->give_way(address)) where.push_back(socket);
    }
    return out;
  };
  std::vector<sys::Error> errors;
  for (const auto& [path, listener] : listeners_) {
    for (sys::Error& error : listener->begin_listening(others)) errors.push_back(std::move(error));
  }
  return errors;
}

sys::Result<net::Listener*> Listeners::open_for_worker(const config::Node& node, const std::string& path) {
  net::Listener* const listener = at(path);
  if (listener == nullptr || described_by_.at(path) != &node) {
    forget(path);
    if (auto error = add(node, path)) return std::move(*error);
  } else if (!listener->is_open()) {
    if (auto error = listener->change_closed(*node.listener)) return std::move(*error);
    if (auto error = open(*listener, nullptr)) return std::move(*error);
  }
  return at(path);
}

void Listeners::describe(const std::string& path, const config::Node& node) {
  if (const auto found = described_by_.find(path); found != described_by_.end()) found->second = &node;
}

void Listeners::forget(const std::string& path) {
  for (net::Listener* listener : below(path)) {
    const std::string gone = listener->path();
    for (const auto& observer : forgotten_) observer(*listener);
    listeners_.erase(gone);
    described_by_.erase(gone);
  }
}

std::optional<sys::Error> Listeners::resume(const net::ListenerHandover& from, const config::Node& node) {
  return make(from.number, node, from.path).resume(from);
}

}  // namespace bulkhead::running
