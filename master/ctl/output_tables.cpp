// `connections`, `stats`, `sandbox` and `penalties`.
#include "master/ctl/escape.h"
#include "master/ctl/output.h"
#include "master/ctl/table.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

std::string refusals_text(const Json& counts) {
  const Json& refused = member(counts, "refused");
  std::string out;
  if (!refused.is_object()) return out;
  for (const auto& [reason, count] : refused.items()) {
    if (count.is_number() && count > 0) out += (out.empty() ? "" : " ") + escaped(reason) + "=" + json_text(count);
  }
  return out;
}

std::vector<Cell> stats_row(std::string name, const Json& counts) {
  std::vector<Cell> row{{std::move(name)}};
  for (const char* column : {"active", "adopted", "accepted", "completed", "crashed", "client_gone"}) {
    row.push_back({member_text(counts, column), "", true});
  }
  row.push_back({refusals_text(counts)});
  return row;
}

// The client, followed by the balancer that connected on its behalf.
std::string peer_text(const Json& connection) {
  const std::string real = member_text(connection, "real_peer");
  return member_text(connection, "peer") + (real.empty() ? "" : " via " + real);
}

// A missing value or one of another type (`generation` absent) becomes an empty cell.
std::vector<Cell> connection_row(const Json& connection) {
  const std::string worker = member_text(connection, "worker");
  return {{member_text(connection, "id")},
          {member_text(connection, "listener")},
          {peer_text(connection)},
          {member_text(connection, "pid"), "", true},
          {member_flag(connection, "adopted") ? "adopted" : worker},
          {span_text(member_number(connection, "age_seconds")), "", true},
          {member_text(connection, "handler")}};
}

}  // namespace

std::string connections_text(const Json& connections, const Style& style) {
  if (!connections.is_array() || connections.empty()) return "No connections.\n";
  Table table;
  table.add({{"ID"}, {"LISTENER"}, {"PEER"}, {"PID", "", true}, {"WORKER"}, {"AGE", "", true}, {"HANDLER"}});
  for (const Json& connection : connections) table.add(connection_row(connection));
  return table.text(style.colour);
}

std::string stats_text(const Json& stats, const Style& style) {
  Table table;
  table.add({{"LISTENER"},
             {"ACTIVE", "", true},
             {"ADOPTED", "", true},
             {"ACCEPTED", "", true},
             {"COMPLETED", "", true},
             {"CRASHED", "", true},
             {"CLIENT_GONE", "", true},
             {"REFUSED"}});
  const Json& listeners = member(stats, "listeners");
  if (listeners.is_array()) {
    for (const Json& one : listeners) table.add(stats_row(member_text(one, "path"), member(one, "connections")));
  }
  table.add(stats_row("total", member(stats, "totals")));
  const std::string places = places_text(member(stats, "totals"));
  return table.text(style.colour) + (places.empty() ? "" : "Of daemon.max_connections, " + places + ".\n");
}

std::string sandbox_text(const Json& sandbox, const Style& style) {
  Table table;
  table.add({{"WALL"}, {"HOLDS"}, {"KEY"}, {"WHAT"}});
  const Json& walls = member(sandbox, "walls");
  if (walls.is_array()) {
    for (const Json& wall : walls) {
      const std::string holds = member_text(wall, "holds");
      const char* const colour = holds == "yes" ? "32" : holds == "no" ? "" : "33";
      table.add(
          {{member_text(wall, "wall")}, {holds, colour}, {member_text(wall, "key")}, {member_text(wall, "text")}});
    }
  }
  return table.text(style.colour);
}

std::string penalties_text(const Json& penalties, const Style& style) {
  if (!penalties.is_array() || penalties.empty()) return "No source is penalised.\n";
  Table table;
  table.add({{"LISTENER"}, {"SOURCE"}, {"REASON"}, {"REFUSED"}, {"LEFT", "", true}, {"CONNECTIONS", "", true}});
  for (const Json& one : penalties) {
    table.add({{member_text(one, "listener")},
               {member_text(one, "source")},
               {member_text(one, "reason")},
               {member_flag(one, "active") ? "yes" : "not yet"},
               {span_text(member_number(one, "remaining_seconds")), "", true},
               {member_text(one, "connections"), "", true}});
  }
  return table.text(style.colour);
}

}  // namespace bulkhead::ctl
