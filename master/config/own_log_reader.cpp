#include "master/config/own_log_reader.h"

#include <array>

#include "master/config/foresight.h"
#include "master/config/paths.h"

namespace bulkhead::config {

namespace {

void set_target(Context& context, OwnLog& log, const Entry& entry) {
  if (!entry.given) return;
  log.target = entry.is_word() ? entry.value.text : resolve_path(entry.value.text, context.directory());
  entry.effective.text = *log.target;
  foresee_log_target(context, entry, *log.target);
}

constexpr std::array kOwnLogSetters{
    Setter<OwnLog>{"target", set_target},
    Setter<OwnLog>{"format",
                   [](Context&, OwnLog& log, const Entry& e) {
                     if (e.given) log.format = as_enum<LogFormat>(e);
                   }},
    Setter<OwnLog>{"level",
                   [](Context&, OwnLog& log, const Entry& e) {
                     if (e.given) log.level = as_enum<LogLevel>(e);
                   }},
};
static_assert(covers(kOwnLogSetters, Scope::own_log));

}  // namespace

void read_own_log(Context& context, OwnLog& log, const Entry& entry) {
  if (entry.given) read_object(context, entry, kOwnLogSetters, log, "in a log of its own");
}

}  // namespace bulkhead::config
