// The keys that an object of the file itself has, for warnings about them.
#pragma once

#include <string>
#include <string_view>

#include "master/config/section.h"

namespace bulkhead::config {

class Given {
 public:
  // Both must outlive it.
  Given(Context& context, const Section& section) : context_(context), section_(section) {}

  // Null: the key is absent, or comes from a supervisor's `defaults`.
  [[nodiscard]] const Value* object(std::string_view key) const;
  [[nodiscard]] bool is_number(std::string_view key) const;
  [[nodiscard]] bool is_listener() const { return section_.object.find("listen") != nullptr; }

  // These do nothing without the key.
  void warn(std::string_view key, std::string message) const;
  void has_no_effect(std::string_view key, std::string_view why) const;
  void blame(std::string_view key, std::string message) const;

  // About an element of a list.
  void warn_at(std::string_view list, std::size_t index, std::string_view key, std::string message) const;

 private:
  Context& context_;
  Section section_;
};

}  // namespace bulkhead::config
