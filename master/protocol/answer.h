// The answer to a request: a result, or a failure with its code.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace bulkhead::protocol {

// The numbers in error.code: those of JSON-RPC 2.0 (https://www.jsonrpc.org/specification, "Error object"), then ours,
// from the range that it leaves to servers. bulkheadctl exits 1 for kNegative and kNoSuchObject, 2 for all others.
enum ErrorCode : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kNegative = -32000,      // a negative answer of OTP; `word` has it: "running", "restarting", "already_present" …
  kNoSuchObject = -32001,  // no such node, listener or connection; `word` is "not_found"
  kRefused = -32002,       // the daemon is stopping, or the configuration does not allow it
  kNotPermitted = -32003,  // the peer is not allowed to do this
  kTooMuch = -32004        // a limit of the server was reached
};

struct Failure {
  int code = kRefused;
  std::string message;                                             // a sentence for people, without a full stop
  std::string word;                                                // OTP's word, sent in error.data; may be empty
  nlohmann::ordered_json more = nlohmann::ordered_json::object();  // further members of `error`
};

// A result that may be long, as text that is produced piece by piece while the client reads. Each call appends the next
// piece, a few kilobytes at most, or nothing yet, and returns quickly. False: that was the last piece.
using Pieces = std::function<bool(std::string& out)>;

struct Answer {
  nlohmann::ordered_json result;
  std::optional<Failure> failure;  // set: `result` is unused
  Pieces pieces = nullptr;         // set: they produce the result
  // Set, with pieces: notifications that follow the result. Each call appends some whole ones; false: there are none
  // for now.
  Pieces news = nullptr;
};

// Must be called exactly once, immediately or later, on the loop thread. If the client or the server no longer exists,
// it does nothing.
using Reply = std::function<void(Answer)>;

}  // namespace bulkhead::protocol
