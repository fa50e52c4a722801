// The requests to a procedure, and its answers.
#pragma once

#include "master/procedure/outcome.h"

namespace bulkhead::procedure {

struct Asked {
  Outcome outcome;
  int answers = 0;

  Asked() = default;
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  // Must not be called after the end of this object.
  [[nodiscard]] Done done() {
    return [this](const Outcome& got) {
      outcome = got;
      ++answers;
    };
  }
  [[nodiscard]] bool is_done() const { return answers == 1 && outcome.kind == Outcome::Kind::done; }
  [[nodiscard]] bool is_refused() const { return answers == 1 && outcome.kind == Outcome::Kind::refused; }
  [[nodiscard]] bool is_negative(supervision::ReplyError word) const {
    return answers == 1 && outcome.kind == Outcome::Kind::negative && outcome.word == word;
  }
};

}  // namespace bulkhead::procedure
