// How something that an operator, a signal or a reload has asked for ended. The procedures answer with an Outcome;
// control/ turns it into JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "master/running/engine.h"
#include "master/running/listeners.h"
#include "master/supervision/command.h"

namespace bulkhead::procedure {

struct Outcome {
  enum class Kind : std::uint8_t {
    done,
    negative,  // the answer is no, and `word` gives the reason in OTP's words
    refused    // not possible now, or not at all
  };
  Kind kind = Kind::done;
  std::string text;  // except for `done`: a sentence for people, without a full stop
  supervision::ReplyError word = supervision::ReplyError::none;

  [[nodiscard]] explicit operator bool() const noexcept { return kind == Kind::done; }
};
using Done = std::function<void(const Outcome&)>;

[[nodiscard]] Outcome refused(std::string why);
[[nodiscard]] Outcome negative(supervision::ReplyError word, std::string text);
// OTP's word for an answer: "running", "already_present".
[[nodiscard]] std::string_view word_of(supervision::ReplyError error);
// The tree's answer about the node at `path`.
[[nodiscard]] Outcome outcome_of(supervision::ReplyError error, const std::string& path);
// "there is no listener root/ecco; did you mean root/echo?"
[[nodiscard]] Outcome no_such(const running::Engine& engine, const char* what, const std::string& path);

// Commands that name a listener ask this first: every listener has an entry here, also while it or its supervisor is
// stopped. If there is none, the outcome is the answer that says so.
[[nodiscard]] Outcome listener_named(const running::Engine& engine, const running::Listeners& listeners,
                                     const std::string& path);

// Why nothing begins any more.
inline constexpr const char* kDaemonStops = "the daemon is stopping";

}  // namespace bulkhead::procedure
