// One reading of a configuration: the problems found so far, and the names that must be unique in all of its files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/config/json_reader.h"
#include "master/config/json_value.h"

namespace bulkhead::config {

// See uid_pool.h.
struct PoolsInUse {
  std::optional<UidRange> of_daemon;
  std::string default_problem;                  // why it cannot be used; empty: it can, or has been told
  std::map<UidRange, std::uint64_t> listeners;  // how many take one of the range
};

class Context {
 public:
  // `directory` is absolute: relative paths are relative to it, in included files too.
  Context(const Host& host, std::string file, std::string directory)
      : host_(host), capacity_(host.capacity()), directory_(std::move(directory)), files_{std::move(file)} {}

  [[nodiscard]] const Host& host() const { return host_; }
  // Asked of the system once, so that all listeners of a configuration are judged by the same numbers.
  [[nodiscard]] std::uint32_t usable_cpus() const { return capacity_.cpus; }
  [[nodiscard]] const ProcessLimit& process_limit(std::uint32_t uid) const {
    return uid == 0 ? capacity_.of_root : capacity_.of_others;
  }
  [[nodiscard]] bool as_root() const { return host_.user_id() == 0; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // The `chroot` of the child that is being read; empty: none.
  [[nodiscard]] const std::string& root() const { return root_; }
  void enter_root(std::string root) { root_ = std::move(root); }

  // `defaults` of the supervisors whose children are being read, the outermost first.
  [[nodiscard]] const std::vector<Value>& defaults() const { return defaults_; }
  void enter_defaults(Value defaults) { defaults_.push_back(std::move(defaults)); }
  void leave_defaults() { defaults_.pop_back(); }

  // The file that is being read. Problems reported from now on belong to it and are sorted after those of earlier
  // files.
  [[nodiscard]] const std::string& file() const { return files_[reading_]; }
  void begin_file(std::string file);
  void return_to_first_file() { reading_ = 0; }
  // Problems belong to another file for as long as this lives.
  class OtherFile {
   public:
    OtherFile(Context& context, std::string file) : context_(context), before_(context.reading_) {
      context_.begin_file(std::move(file));
    }
    ~OtherFile() { context_.reading_ = before_; }
    OtherFile(const OtherFile&) = delete;
    OtherFile& operator=(const OtherFile&) = delete;

   private:
    Context& context_;
    std::size_t before_;
  };

  void report(Position at, std::string pointer, std::string message);
  void report(const std::vector<Finding>& findings);
  // What will not work as it probably was meant. It does not make the configuration a bad one.
  void warn(Position at, std::string pointer, std::string message);

  // Programs and libraries of the child that is being read. What runs them is known only afterwards.
  struct Mentioned {
    enum class Kind : std::uint8_t { program, library };
    Kind kind;
    std::string path;
    Position at;
    std::string pointer;
  };
  // A key that only root's daemon can carry out, at which another user's is reported.
  void report_for_root(Position at, std::string pointer, std::string message) {
    needs_root_ = true;
    report(at, std::move(pointer), std::move(message));
  }
  [[nodiscard]] bool needs_root() const { return needs_root_; }

  void mention(Mentioned one) { mentioned_.push_back(std::move(one)); }
  [[nodiscard]] std::vector<Mentioned> take_mentioned() { return std::exchange(mentioned_, {}); }
  // Those of another file than the one that is being read, on behalf of the value at `pointer` of this one.
  void report_in(const std::string& file, const std::string& pointer, const std::vector<Finding>& findings);
  // Variables of the files that have been read, by path.
  using Variables = std::vector<std::pair<std::string, std::string>>;
  [[nodiscard]] std::map<std::string, Variables>& env_files() { return env_files_; }
  [[nodiscard]] PoolsInUse& pools() { return pools_; }

  // Names that may be used only once: the first caller to claim `what` in `room` gets it and an empty answer; later
  // callers get the place of the first, in words.
  [[nodiscard]] std::string claim(const std::string& room, const std::string& what, const std::string& pointer);

  // Reports `address` if it collides with an earlier one; not for a child that is disabled, which binds none.
  void claim_address(const ListenAddress& address, Position at, const std::string& pointer);

  [[nodiscard]] bool claims_none() const { return claimants_disabled_ != 0; }
  void claim_none(bool on) { claimants_disabled_ += on ? 1 : -1; }

  // All problems, file by file and by position.
  [[nodiscard]] std::vector<Problem> take_problems();
  [[nodiscard]] std::vector<Problem> take_warnings();

  // The file has a daemon.max_connections.
  void limits_all_connections() noexcept { limits_all_connections_ = true; }
  [[nodiscard]] bool are_all_connections_limited() const noexcept { return limits_all_connections_; }

 private:
  struct Found {
    std::size_t file;  // in files_
    Problem problem;
  };
  struct Place {
    std::string file;
    Position at;
    std::string pointer;
  };
  struct Taken {
    ListenAddress address;
    Place place;
  };
  [[nodiscard]] static std::vector<Problem> in_order(std::vector<Found> found);
  [[nodiscard]] std::string elsewhere(const Place& place) const;

  const Host& host_;
  Capacity capacity_;
  std::string directory_;
  std::string root_;
  std::vector<Value> defaults_;
  std::vector<std::string> files_;  // in the order in which they were begun
  std::size_t reading_ = 0;         // in files_
  std::vector<Found> found_;
  std::vector<Found> warnings_;
  std::vector<Mentioned> mentioned_;
  bool needs_root_ = false;
  PoolsInUse pools_;
  std::map<std::string, Variables> env_files_;
  int claimants_disabled_ = 0;  // children around what is being read that are disabled
  std::map<std::string, Place> claimed_;
  std::map<std::string, Taken> addresses_;  // by the keys in context.cpp, so that a few look-ups find every collision
  bool limits_all_connections_ = false;
};

// While it lives, no address is claimed, if `on`: what is being read is disabled.
class AddressesFree {
 public:
  AddressesFree(Context& context, bool on) : context_(context), on_(on) {
    if (on_) context_.claim_none(true);
  }
  ~AddressesFree() {
    if (on_) context_.claim_none(false);
  }
  AddressesFree(const AddressesFree&) = delete;
  AddressesFree& operator=(const AddressesFree&) = delete;

 private:
  Context& context_;
  bool on_;
};

}  // namespace bulkhead::config
