#include "master/host/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace bulkhead::host {
namespace {

std::uint64_t soft_at_start = 0;  // 0: the limit has not been raised

rlimit present_descriptors() noexcept {
  rlimit out{RLIM_INFINITY, RLIM_INFINITY};
  getrlimit(RLIMIT_NOFILE, &out);
  return out;
}

}  // namespace

void raise_descriptor_limit() noexcept {
  rlimit limit = present_descriptors();
  soft_at_start = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void resume_descriptor_limit(std::uint64_t original) noexcept {
  soft_at_start = original;
}

std::uint64_t original_descriptor_limit() noexcept {
  return soft_at_start != 0 ? soft_at_start : descriptor_limit();
}

std::uint64_t descriptor_limit() noexcept {
  return present_descriptors().rlim_cur;
}

void restore_descriptor_limit() noexcept {
  rlimit limit = present_descriptors();
  const rlim_t wanted = std::min<rlim_t>(soft_at_start, limit.rlim_max);
  if (wanted == 0 || limit.rlim_cur == wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bulkhead::host
