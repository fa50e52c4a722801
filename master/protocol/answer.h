// What a request is answered with: a result, or a failure with its code.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace bulkhead::protocol {

// The numbers in error.code: JSON-RPC 2.0's own (https://www.jsonrpc.org/specification, "Error object"), then ours from
// the range it leaves to servers. bulkheadctl exits 1 for negative and no_such_object, 2 for all others.
enum ErrorCode : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kNegative = -32000,      // OTP's answer was no; `word` says which: "running", "restarting", "already_present" …
  kNoSuchObject = -32001,  // no such node, listener or connection; `word` is "not_found"
  kRefused = -32002,       // not now, or not this: the daemon is stopping, the configuration does not allow it
  kNotPermitted = -32003,  // the peer is not who may do this
  kTooMuch = -32004        // a bound of the server was reached
};

struct Failure {
  int code = kRefused;
  std::string message;  // a sentence for people, without a full stop
  std::string word;     // OTP's, in error.data; may be empty
};

// A result that may be long, as text that is made piece by piece while the client reads. Each call appends the next
// one, some kilobytes at most, or nothing yet, and takes no more than a moment. False: that was the last.
using Pieces = std::function<bool(std::string& out)>;

struct Answer {
  nlohmann::ordered_json result;
  std::optional<Failure> failure;  // set: there is no result
  Pieces pieces = nullptr;         // set: they make the result
};

// Called exactly once, at once or later, on the loop thread. The client may be gone, and the server too: then it does
// nothing.
using Reply = std::function<void(Answer)>;

}  // namespace bulkhead::protocol
