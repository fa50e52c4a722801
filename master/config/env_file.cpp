#include "master/config/env_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "master/config/host.h"
#include "worker/log/utf8.h"

namespace bulkhead::config {

namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const log::Character next = log::first_character(bytes);
    if (next.length == 0 || next.code_point == 0) return false;
    bytes.remove_prefix(next.length);
  }
  return true;
}

// What is wrong with a value, or the value.
struct Unquoted {
  std::string value;
  const char* problem = nullptr;
};

// `text` begins with the quote.
Unquoted unquoted(std::string_view text) {
  const char quote = text.front();
  Unquoted out;
  std::size_t at = 1;
  for (; at < text.size() && text[at] != quote; ++at) {
    const bool escapes = quote == '"' && text[at] == '\\' && at + 1 < text.size();
    if (escapes && (text[at + 1] == '"' || text[at + 1] == '\\')) ++at;
    out.value += text[at];
  }
  if (at >= text.size()) out.problem = "the closing quote is missing";
  if (at + 1 < text.size()) out.problem = "only blanks may follow the closing quote; put the whole value in quotes";
  return out;
}

class Parser {
 public:
  EnvFile run(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      ++line_;
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return std::move(out_);
  }

 private:
  void blame(std::size_t column, std::string message) {
    out_.findings.push_back({{line_, static_cast<std::uint32_t>(column + 1)}, "", std::move(message)});
  }

  void read_line(std::string_view whole) {
    const std::string_view line = trimmed(whole);
    if (line.empty() || line.front() == '#') return;
    const auto column_of = [whole](std::string_view part) {
      return static_cast<std::size_t>(part.data() - whole.data());
    };
    if (!is_text(line)) return blame(column_of(line), "expected text in UTF-8 without NUL");
    const std::size_t equals = line.find('=');
    const std::string_view name = line.substr(0, equals);
    if (equals == std::string_view::npos || name.empty()) {
      return blame(column_of(line), "expected NAME=VALUE");
    }
    if (name.find_first_of(kBlanks) != std::string_view::npos) {
      const bool exported = name.starts_with("export");
      return blame(column_of(line), std::string("expected NAME=VALUE without blanks in the name") +
                                        (exported ? "; leave out \"export\"" : ""));
    }
    add(std::string(name), trimmed(line.substr(equals + 1)), column_of(line), column_of(line) + equals + 1);
  }

  void add(std::string name, std::string_view text, std::size_t name_column, std::size_t value_column) {
    const auto [first, is_new] = lines_.try_emplace(name, line_);
    if (!is_new) {
      return blame(name_column, fmt::format("{} is already set in line {}", in_quotes(name), first->second));
    }
    const bool quoted = !text.empty() && (text.front() == '"' || text.front() == '\'');
    Unquoted value = quoted ? unquoted(text) : Unquoted{std::string(text)};
    if (value.problem != nullptr) return blame(value_column, value.problem);
    out_.variables.emplace_back(std::move(name), std::move(value.value));
  }

  EnvFile out_;
  std::uint32_t line_ = 0;
  std::map<std::string, std::uint32_t> lines_;  // of names
};

}  // namespace

EnvFile parse_env_file(std::string_view text) {
  return Parser().run(text);
}

std::vector<std::pair<std::string, std::string>> read_env_file(Context& context, const Entry& entry,
                                                               const std::string& path) {
  auto& known = context.env_files();
  if (const auto found = known.find(path); found != known.end()) return found->second;
  const bool in_effect = context.host().knows_env_files();  // the caller has the variables, and the file may be another
  const FileText read = read_file(path);
  if (!read.problem.empty()) {
    if (!in_effect) {
      context.report(entry.at(), entry.pointer(), fmt::format("cannot use {}: {}", in_quotes(path), read.problem));
    }
    return {};
  }
  EnvFile file = parse_env_file(read.text);
  if (!in_effect) context.report_in(path, entry.pointer(), file.findings);
  return known[path] = std::move(file.variables);
}

}  // namespace bulkhead::config
