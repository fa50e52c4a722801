#include "master/ctl/printer.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "master/ctl/escape.h"

namespace bulkhead::ctl {

using Json = nlohmann::ordered_json;

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int complain(const std::string& text, int status) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) fmt::print(stderr, "bulkheadctl: {}\n", line);
  return status;
}

Style style_of_terminal() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool plain =
      (no_color != nullptr && *no_color != '\0') || terminal == nullptr || std::string_view(terminal) == "dumb";
  const bool utf8 = std::setlocale(LC_CTYPE, "") != nullptr && std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  return {isatty(STDOUT_FILENO) == 1 && !plain, utf8};
}

int status_of(const protocol::Failure& failure) noexcept {
  return failure.code == protocol::kNegative || failure.code == protocol::kNoSuchObject ? kNo : kRefusedByDaemon;
}

const std::string& word_of(const protocol::Failure& failure) noexcept {
  return failure.word.empty() ? failure.message : failure.word;
}

Json failure_json(const protocol::Failure& failure) {
  return {{"error", word_of(failure)}};
}

int Printer::result(std::string_view method, const Json& params, const Json& result) const {
  for (const Json& warning : member(result, "warnings")) {
    if (warning.is_string()) complain(escaped(warning.get<std::string>()), 0);
  }
  print(json_ ? json_text(result) + "\n" : readable(method, params, result, style_));
  return kOk;
}

int Printer::failure(const protocol::Failure& failure) const {
  if (json_) print(json_text(failure_json(failure)) + "\n");
  // OTP's word is the whole answer in JSON; how the child ended, and what it wrote last, is beside it.
  if (!json_ || failure.more.contains("reason")) {
    std::istringstream lines(failure.message);
    for (std::string line; std::getline(lines, line);) complain(escaped(line), 0);
  }
  return status_of(failure);
}

void Printer::log_line(const Json& line) const {
  print(json_ ? json_text(line) + "\n" : log_line_text(line));
}

void Printer::event(const Json& event) const {
  print(json_ ? json_text(event) + "\n" : event_text(event, style_));
}

}  // namespace bulkhead::ctl
