// Whether the workers of a listener may accept. Several parties may hold it closed at once, each for its own reason; it
// opens again when the last of them has let go. The listener of on_change() hears only of changes, so that a worker
// gets a message exactly when something changes for it.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace bulkhead::net {

class Gate {
 public:
  enum class Holder : std::uint8_t {
    operators,  // `suspend`: new clients wait in the kernel's queue
    trial,      // a reload tries workers, which must not serve a configuration that may yet be refused
    ending      // the listener is being closed: a worker that becomes ready now must not accept
  };

  void hold(Holder holder) { set(held_ | bit(holder)); }
  void release(Holder holder) { set(held_ & ~bit(holder)); }
  [[nodiscard]] bool is_held_by(Holder holder) const noexcept { return (held_ & bit(holder)) != 0; }
  [[nodiscard]] bool accepting() const noexcept { return held_ == 0; }

  // One listener; called from within hold() and release().
  void on_change(std::function<void(bool accepting)> hear) { hear_ = std::move(hear); }

 private:
  static constexpr std::uint32_t bit(Holder holder) noexcept { return 1U << static_cast<std::uint32_t>(holder); }
  void set(std::uint32_t held) {
    const bool before = accepting();
    held_ = held;
    if (before != accepting() && hear_) hear_(accepting());
  }

  std::uint32_t held_ = 0;
  std::function<void(bool)> hear_;
};

}  // namespace bulkhead::net
