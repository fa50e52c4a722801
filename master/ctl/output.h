// The output of bulkheadctl: the result of each verb as text for people. Pure: JSON in, text out. A result of an
// unexpected shape (from a daemon of another version) loses words but never fails. Text that a peer may have chosen is
// escaped.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bulkhead::ctl {

struct Style {
  bool colour = false;
  bool unicode = false;  // draw the lines of the tree with Unicode characters
};

// The whole text, with newlines. `params` are those of the request.
[[nodiscard]] std::string readable(std::string_view method, const nlohmann::ordered_json& params,
                                   const nlohmann::ordered_json& result, const Style& style);

// The parts of readable(), each for results of one kind.
[[nodiscard]] std::string status_text(const nlohmann::ordered_json& status, const Style& style);
[[nodiscard]] std::string tree_text(const nlohmann::ordered_json& root, const Style& style);
[[nodiscard]] std::string connections_text(const nlohmann::ordered_json& connections, const Style& style);
[[nodiscard]] std::string stats_text(const nlohmann::ordered_json& stats, const Style& style);
[[nodiscard]] std::string penalties_text(const nlohmann::ordered_json& penalties, const Style& style);
[[nodiscard]] std::string event_text(const nlohmann::ordered_json& event, const Style& style);
[[nodiscard]] std::string logs_text(const nlohmann::ordered_json& result);
// An element of `lines`, or {"note": text}.
[[nodiscard]] std::string log_line_text(const nlohmann::ordered_json& line);
[[nodiscard]] std::string explain_text(const nlohmann::ordered_json& explanation, const Style& style);

[[nodiscard]] std::string sandbox_text(const nlohmann::ordered_json& sandbox, const Style& style);

// `simulate`: the answers of simulation::tell_crashes() and tell_scenarios().
[[nodiscard]] std::string crashes_text(const nlohmann::ordered_json& told);
[[nodiscard]] std::string scenarios_text(const nlohmann::ordered_json& told);

// One line, ASCII only.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& value);

// "12 s", "3 min 4 s", "5 h 6 min", "7 d 8 h".
[[nodiscard]] std::string span_text(double seconds);
// "7 of 10 places are used", of daemon.max_connections; empty: it is not set.
[[nodiscard]] std::string places_text(const nlohmann::ordered_json& node);

// The colour of a state on a terminal, as the parameters of an SGR sequence.
[[nodiscard]] const char* colour_of_state(std::string_view state);

// Members of objects whose shape is not known. member_text() returns escaped text, or a number as it was sent; empty if
// the member is missing.
[[nodiscard]] std::string member_text(const nlohmann::ordered_json& object, const char* name);
[[nodiscard]] double member_number(const nlohmann::ordered_json& object, const char* name);
[[nodiscard]] bool member_flag(const nlohmann::ordered_json& object, const char* name);
[[nodiscard]] const nlohmann::ordered_json& member(const nlohmann::ordered_json& object, const char* name);

}  // namespace bulkhead::ctl
