#include "master/running/pool_users.h"

#include <fmt/format.h>

#include "master/supervision/path.h"

namespace bulkhead::running {

namespace {

using config::Identity;
using supervision::child_of;

Identity* of_pool(config::Node& node) {
  config::ChildKeys* const keys = config::child_keys_of(node);
  const bool is = keys != nullptr && keys->identity && keys->identity->pool;
  return is ? &*keys->identity : nullptr;
}

void give(Identity& who, std::uint32_t uid) {
  who.name = std::to_string(uid);
  who.uid = uid;
  if (who.pool->gives_group) who.gid = uid;
  who.pool->assigned = true;
}

void hold_all(const config::Node& node, const std::string& path, UidLedger& ledger) {
  const config::ChildKeys* const keys = config::child_keys_of(node);
  if (keys != nullptr && keys->identity && keys->identity->pool && keys->identity->pool->assigned) {
    ledger.hold(path, keys->identity->uid);
  }
  for (const config::Node& child : node.children) hold_all(child, child_of(path, child.spec.id), ledger);
}

}  // namespace

void PoolUsers::look_who_has_what() {
  ledger_.forget_holders();
  catalogue_.for_each_top([this](const std::string& path, const config::Node& node) { hold_all(node, path, ledger_); });
}

bool PoolUsers::keep(Identity& who, const std::string& path) {
  if (who.pool->assigned && !ledger_.is_taken(who.uid, path)) {
    ledger_.hold(path, who.uid);
    return true;
  }
  const auto held = ledger_.of(path);
  if (!held || !who.pool->range.contains(*held)) return false;
  give(who, *held);
  return true;
}

std::string PoolUsers::assign(config::Node& node, const std::string& path) {
  look_who_has_what();
  return assign_below(node, path);
}

std::string PoolUsers::assign_below(config::Node& node, const std::string& path) {
  if (Identity* const who = of_pool(node); who != nullptr && !keep(*who, path)) {
    const auto uid = ledger_.take(path, who->pool->range, busy_);
    if (!uid) return fmt::format("{}: every user of the pool {} is in use", path, config::text_of(who->pool->range));
    give(*who, *uid);
  }
  for (config::Node& child : node.children) {
    if (std::string problem = assign_below(child, child_of(path, child.spec.id)); !problem.empty()) return problem;
  }
  return "";
}

void PoolUsers::recall(config::Node& node, const std::string& path) {
  look_who_has_what();
  recall_below(node, path);
}

void PoolUsers::recall_below(config::Node& node, const std::string& path) {
  if (Identity* const who = of_pool(node)) (void)keep(*who, path);
  for (config::Node& child : node.children) recall_below(child, child_of(path, child.spec.id));
}

}  // namespace bulkhead::running
