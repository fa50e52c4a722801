// The daemon's listeners by their paths in the tree: made, opened, found and forgotten here. A listener outlives its
// workers and every restart; it goes when its entry is removed from the tree.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/host/clock.h"
#include "master/net/listener.h"
#include "worker/sys/result.h"

namespace bulkhead::running {

class Listeners {
 public:
  using Lend = net::Listener::Lend;
  using ByPath = std::map<std::string, std::unique_ptr<net::Listener>>;

  // `inherited` must outlive it.
  explicit Listeners(net::InheritedSockets& inherited) : inherited_(inherited) {}

  // Observers, called in the order in which they were added. A listener that is being forgotten is still complete.
  void on_made(std::function<void(net::Listener&)> observer) { made_.push_back(std::move(observer)); }
  void on_bound(std::function<void(const net::Listener&)> observer) { bound_.push_back(std::move(observer)); }
  void on_forgotten(std::function<void(net::Listener&)> observer) { forgotten_.push_back(std::move(observer)); }

  [[nodiscard]] net::Listener* at(const std::string& path) const;                  // null: there is none
  [[nodiscard]] std::vector<net::Listener*> below(const std::string& path) const;  // at and below it
  [[nodiscard]] std::vector<net::Listener*> all() const;
  [[nodiscard]] const ByPath& by_path() const noexcept { return listeners_; }
  // The listener at `path` if it serves, or would if it were not suspended. Null: none exists, or it is stopped or
  // ending.
  [[nodiscard]] net::Listener* serving_at(const std::string& path) const;

  // Makes and opens the listeners of `node`, which is at `path`, and of everything below it. On failure the listeners
  // made so far remain.
  [[nodiscard]] std::optional<sys::Error> add(const config::Node& node, const std::string& path,
                                              const Lend& lend = nullptr);
  // The sockets that are reserved listen from now on, in the place of those that collide with them, which are about to
  // be closed.
  [[nodiscard]] std::vector<sys::Error> begin_listening();
  // The listener of a worker that is about to start, open. It is recreated where an operator had deleted it and its
  // supervisor's restart has brought it back, and opened again where an operator had stopped it.
  [[nodiscard]] sys::Result<net::Listener*> open_for_worker(const config::Node& node, const std::string& path);
  // The listener at `path` is described by this entry from now on.
  void describe(const std::string& path, const config::Node& node);
  // The listeners at and below `path` are gone for good.
  void forget(const std::string& path);

  // At the daemon's start: how long to wait for an address that is in use, because an earlier instance may be about to
  // exit. Blocks; no client is served yet.
  void be_patient_until(supervision::Instant until) noexcept { patient_until_ = until; }

  // For another program to continue with, and the continuation there.
  [[nodiscard]] std::uint32_t next_number() const noexcept { return next_number_; }
  void set_next_number(std::uint32_t number) noexcept { next_number_ = number; }
  [[nodiscard]] std::optional<sys::Error> resume(const net::ListenerHandover& from, const config::Node& node);

 private:
  net::Listener& make(std::uint32_t number, const config::Node& node, const std::string& path);
  [[nodiscard]] std::optional<sys::Error> open(net::Listener& listener, const Lend& lend);

  net::InheritedSockets& inherited_;
  ByPath listeners_;
  std::map<std::string, const config::Node*> described_by_;
  std::uint32_t next_number_ = 0;
  supervision::Instant patient_until_{};
  std::vector<std::function<void(net::Listener&)>> made_;
  std::vector<std::function<void(const net::Listener&)>> bound_;
  std::vector<std::function<void(net::Listener&)>> forgotten_;
};

}  // namespace bulkhead::running
