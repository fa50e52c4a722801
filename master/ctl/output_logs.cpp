// `logs`: the lines as they were logged, after what is not among them.
#include <fmt/format.h>

#include "master/config/counted.h"
#include "master/ctl/output.h"

namespace bulkhead::ctl {

using Json = nlohmann::ordered_json;

std::string log_line_text(const Json& line) {
  if (const std::string note = member_text(line, "note"); !note.empty()) return fmt::format("({})\n", note);
  const double missed = member_number(line, "missed");
  if (missed > 0) return fmt::format("({} dropped)\n", config::counted(static_cast<std::uint64_t>(missed), "line"));
  return member_text(line, "line") + "\n";
}

std::string logs_text(const Json& result) {
  std::string out;
  for (const Json& note : member(result, "notes")) out += log_line_text({{"note", note}});
  for (const Json& line : member(result, "lines")) out += log_line_text(line);
  return out;
}

}  // namespace bulkhead::ctl
