// A simulated system. Its user database has root, nobody, www-data (33) and alice (1000, also in 2000).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "master/config/host.h"

namespace bulkhead::config {

class FakeHost : public Host {
 public:
  explicit FakeHost(std::uint32_t uid = 0, std::uint32_t cpus = 4) : uid_(uid), cpus_(cpus) {}

  [[nodiscard]] std::uint32_t user_id() const override { return uid_; }
  [[nodiscard]] std::uint32_t group_id() const override { return uid_; }

  [[nodiscard]] std::optional<Account> user(const std::string& name) const override {
    for (const Account& account : accounts()) {
      if (account.name == name) return account;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<Account> user(std::uint32_t uid) const override {
    for (const Account& account : accounts()) {
      if (account.uid == uid) return account;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint32_t> group(const std::string& name) const override {
    if (name == "staff") return 2000;
    const auto account = user(name);
    return account ? std::optional(account->gid) : std::nullopt;
  }
  [[nodiscard]] std::vector<std::uint32_t> groups(const Account& account, std::uint32_t gid) const override {
    if (account.name == "alice") return {gid, 2000};
    return {gid};
  }

  [[nodiscard]] Capacity capacity() const override {
    if (processes == 0) return {cpus_, {}, {}};
    return {cpus_, {}, {processes, "RLIMIT_NPROC", "ulimit -u"}};
  }
  [[nodiscard]] long landlock_version() const override { return landlock; }
  [[nodiscard]] UsersAndGroups users_and_groups() const override { return files; }
  [[nodiscard]] std::uint64_t hard_limit(int) const override { return descriptors; }
  [[nodiscard]] std::string control_socket() const override { return "/run/bulkhead/control.sock"; }
  [[nodiscard]] std::string search_path() const override { return "/nowhere:relative:/bin"; }
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const override {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] Matches matching_files(const std::string& pattern) const override {
    return this_host().matching_files(pattern);
  }

  long landlock = 7;
  UsersAndGroups files;
  std::uint32_t processes = 0;  // limit for users other than root; 0: no limit
  std::uint64_t descriptors = 4096;
  std::map<std::string, std::string> variables{{"PORT", "4040"}, {"EMPTY", ""}, {"WORKERS", "2"}, {"ON", "true"}};

 private:
  static std::vector<Account> accounts() {
    return {{"root", 0, 0},
            {"nobody", 65534, 65534},
            {"www-data", 33, 33},
            {"alice", 1000, 1000, "/home/alice", "/bin/zsh"}};
  }
  std::uint32_t uid_;
  std::uint32_t cpus_;
};

}  // namespace bulkhead::config
