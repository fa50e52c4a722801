#include "master/supervision/cause_chain.h"

#include <utility>

#include "master/supervision/words.h"

namespace bulkhead::supervision {

namespace {

std::string ordinal(std::uint64_t number) {
  const std::uint64_t last = number % 10;
  const bool teens = number / 10 % 10 == 1;
  const char* const suffix = teens || last == 0 || last > 3 ? "th" : last == 1 ? "st" : last == 2 ? "nd" : "rd";
  return std::to_string(number) + suffix;
}

std::string spoken(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

const char* spoken(Ending ending) {
  switch (ending) {
    case Ending::normal: return "ended normally";
    case Ending::shutdown: return "ended cleanly";
    case Ending::abnormal: return "ended abnormally";
    case Ending::permanent_failure: return "ended with a permanent failure";
    case Ending::retired: return "retired";
    case Ending::start_failed: return "could not be started";
    case Ending::shortage: return "could not be started, for want of processes or memory";
    case Ending::gave_up: return "gave up";
    case Ending::shut_itself_down: return "shut itself down";
    case Ending::none:
    case Ending::stopped: break;
  }
  return "ended";
}

// The edge's report about the end of a leaf is more precise than the reason that the rules know.
std::string end_of(const Node& child) {
  return child.how.empty() ? spoken(child.ending) : child.how;
}

// A child that is a supervisor brings its own causes; at a leaf the chain begins.
std::vector<std::string> continue_chain(const Node& child, std::string sentence) {
  std::vector<std::string> chain = child.blame;
  chain.push_back(std::move(sentence));
  return chain;
}

}  // namespace

Ending ending_of(ExitReason reason) {
  switch (reason) {
    case ExitReason::normal: return Ending::normal;
    case ExitReason::shutdown: return Ending::shutdown;
    case ExitReason::abnormal: return Ending::abnormal;
    case ExitReason::permanent_failure: return Ending::permanent_failure;
    case ExitReason::retired: return Ending::retired;
    case ExitReason::shortage: return Ending::shortage;
  }
  return Ending::none;
}

Ending ending_of(Cause cause) {
  switch (cause) {
    case Cause::request:
    case Cause::parent: return Ending::stopped;
    case Cause::intensity: return Ending::gave_up;
    case Cause::auto_shutdown: return Ending::shut_itself_down;
    case Cause::start_failed: return Ending::start_failed;
  }
  return Ending::none;
}

std::vector<std::string> blame_intensity(const Node& supervisor, const Node& child) {
  const SupervisorFlags& flags = supervisor.spec->flags;
  const std::uint64_t limit = flags.max_restarts.value_or(0);  // without one, nobody gives up
  const std::string which = ordinal(limit + 1) + " restart within " + spoken(flags.max_seconds) +
                            ", more than max_restarts " + std::to_string(limit) + " allows; " + supervisor.path +
                            " gave up";
  if (child.is_supervisor()) {
    return continue_chain(child, supervisor.path + " could not keep " + child.path + ", which " + spoken(child.ending) +
                                     ": it needed the " + which);
  }
  return continue_chain(child, child.path + " " + end_of(child) + " and needed the " + which);
}

std::vector<std::string> blame_auto_shutdown(const Node& supervisor, const Node& child) {
  const AutoShutdown policy = supervisor.spec->flags.auto_shutdown;
  const char* const which =
      policy == AutoShutdown::any_significant ? ", a significant child, " : ", the last significant child, ";
  return continue_chain(child, child.path + which + end_of(child) + "; " + supervisor.path +
                                   " shut itself down (auto_shutdown " + std::string(kAutoShutdownWords.text(policy)) +
                                   ")");
}

std::vector<std::string> blame_failed_start(const Node& supervisor, const Node& child) {
  return continue_chain(child, child.path + " " + end_of(child) + "; so " + supervisor.path + " could not start");
}

}  // namespace bulkhead::supervision
