// A value, or the system's error instead of it. C++20 has no std::expected; this is the part of it that we need.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace bulkhead::sys {

// The failed operation, its object, and the errno: "bind 127.0.0.1:4040: Address already in use".
struct Error {
  std::string operation;
  std::string subject;
  int code = 0;

  [[nodiscard]] std::string text() const {
    std::string out = operation;
    if (!subject.empty()) out += " " + subject;
    if (code != 0) {
      const char* words = strerrordesc_np(code);
      out += std::string(": ") + (words != nullptr ? words : "unknown error");
    }
    return out;
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT(google-explicit-constructor): reads as `return fd;`
  Result(Error error) : value_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] explicit operator bool() const { return value_.index() == 0; }
  [[nodiscard]] T& operator*() { return std::get<0>(value_); }
  [[nodiscard]] T* operator->() { return &std::get<0>(value_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(value_); }

 private:
  std::variant<T, Error> value_;
};

}  // namespace bulkhead::sys
