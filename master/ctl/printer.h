// Where the answers of bulkheadctl go: results to standard output, complaints, one a line and each with the program's
// name, to standard error.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "master/ctl/command_line.h"
#include "master/ctl/output.h"
#include "master/protocol/answer.h"

namespace bulkhead::ctl {

void print(std::string_view text);
// Returns `status`, for the caller to return.
int complain(const std::string& text, int status);
[[nodiscard]] Style style_of_terminal();

class Printer {
 public:
  explicit Printer(const Invocation& invocation) : json_(invocation.json), style_(style_of_terminal()) {}

  // The status to exit with.
  [[nodiscard]] int result(std::string_view method, const nlohmann::ordered_json& params,
                           const nlohmann::ordered_json& result) const;
  [[nodiscard]] int failure(const protocol::Failure& failure) const;
  void event(const nlohmann::ordered_json& event) const;
  void log_line(const nlohmann::ordered_json& line) const;

  [[nodiscard]] bool json() const noexcept { return json_; }

 private:
  bool json_;
  Style style_;
};

// The status for a refusal of the daemon.
[[nodiscard]] int status_of(const protocol::Failure& failure) noexcept;
// OTP's word for it or, if it has none, the sentence.
[[nodiscard]] const std::string& word_of(const protocol::Failure& failure) noexcept;
// {"error": …} and what else the daemon says to programs.
[[nodiscard]] nlohmann::ordered_json failure_json(const protocol::Failure& failure);

}  // namespace bulkhead::ctl
