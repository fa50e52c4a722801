// The interface through which the control server calls the daemon: one call per request, answered at once or later.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "master/protocol/answer.h"

namespace bulkhead::control {

using protocol::Answer;
using protocol::Failure;
using protocol::Reply;

// A call whose answer somebody waits for.
struct Unanswered {
  std::string method;
  nlohmann::ordered_json params;
  Reply reply;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // `method` is a verb of the command table, `params` an object that has been checked against it; `events` is never
  // passed here. Must not block.
  virtual void call(const std::string& method, const nlohmann::ordered_json& params, Reply reply) = 0;
};

}  // namespace bulkhead::control
