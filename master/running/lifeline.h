// The object that waits for an answer may be gone when the answer comes. Callbacks that a lifeline has wrapped do
// nothing once it has been cut or destroyed; its owner wraps each `[this]` that it hands out.
#pragma once

#include <memory>
#include <utility>

namespace bulkhead::running {

class Lifeline {
 public:
  Lifeline() = default;
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;

  template <class Callback>
  [[nodiscard]] auto operator()(Callback callback) const {
    return [alive = std::weak_ptr<char>(alive_), callback = std::move(callback)](auto&&... arguments) {
      if (!alive.expired()) callback(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  // Callbacks that were wrapped before do nothing from now on.
  void cut() { alive_ = std::make_shared<char>(); }

 private:
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace bulkhead::running
