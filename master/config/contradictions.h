// Keys that are right each by itself and cannot work together. Where something can never become ready or do anything,
// it is a problem; a key without any effect is a warning. Keys from a supervisor's `defaults` are not judged: they are
// meant for other children too.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Call them when the entry has been read as a whole.
void check_sense_of_listener(Context& context, const Section& section, const Node& node);
void check_sense_of_process(Context& context, const Section& section, const Node& node);
void check_sense_of_supervisor(Context& context, const Section& section, const Node& node);
void check_sense_of_daemon(Context& context, const Value& top, const Config& config);

}  // namespace bulkhead::config
