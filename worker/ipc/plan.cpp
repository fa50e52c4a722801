#include "worker/ipc/plan.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "worker/ipc/message.h"

namespace bulkhead::ipc {

namespace {

constexpr std::uint32_t kPlanMagic = 0x62684b50;

}  // namespace

PlanStrings PlanBuilder::strings(const std::vector<std::string>& values) {
  const PlanStrings out{static_cast<std::uint32_t>(sizeof(PlanHeader) + pool_.size()),
                        static_cast<std::uint32_t>(values.size())};
  for (const std::string& value : values) pool_.append(value).push_back('\0');
  return out;
}

PlanArray PlanBuilder::append(const void* bytes, std::size_t size) {
  static_assert(sizeof(PlanHeader) % 8 == 0);
  pool_.resize((pool_.size() + 7) / 8 * 8);
  const auto offset = static_cast<std::uint32_t>(sizeof(PlanHeader) + pool_.size());
  if (size != 0) pool_.append(static_cast<const char*>(bytes), size);
  return {offset, static_cast<std::uint32_t>(size)};
}

sys::Result<sys::Fd> PlanBuilder::seal() {
  sys::Fd memfd(memfd_create("bulkhead-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return sys::Error{"memfd_create", "worker plan", errno};
  pool_.push_back('\0');  // a reader that runs to the end finds an end
  header.magic = kPlanMagic;
  header.protocol = kProtocolVersion;
  header.size = static_cast<std::uint32_t>(sizeof header + pool_.size());
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes += pool_;
  if (::write(memfd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return sys::Error{"write", "worker plan", errno};
  fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return memfd;
}

bool Plan::holds(PlanStrings strings) const noexcept {
  std::uint32_t at = strings.offset;
  if (at < sizeof(PlanHeader) || at >= header_->size) return false;
  const char* base = reinterpret_cast<const char*>(header_);
  for (std::uint32_t i = 0; i < strings.count; ++i) {
    const std::size_t length = strnlen(base + at, header_->size - at);
    if (at + length >= header_->size) return false;
    at += static_cast<std::uint32_t>(length) + 1;
  }
  return true;
}

bool Plan::holds(const PlanHandler& handler) const noexcept {
  return handler.kind < HandlerKind::count_ && handler.style < HandlerStyle::count_ && holds(handler.name) &&
         holds(handler.argv) && holds(handler.environment);
}

bool Plan::holds(PlanArray array) const noexcept {
  if (array.bytes == 0) return true;
  return array.offset >= sizeof(PlanHeader) && array.offset % 8 == 0 && array.offset <= header_->size &&
         array.bytes <= header_->size - array.offset;
}

sys::Result<Plan> Plan::map(int memfd) {
  struct stat status {};
  if (fstat(memfd, &status) != 0) return sys::Error{"fstat", "worker plan", errno};
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size <= sizeof(PlanHeader)) return sys::Error{"map", "worker plan", EINVAL};
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) return sys::Error{"mmap", "worker plan", errno};
  Plan plan;
  plan.header_ = static_cast<const PlanHeader*>(memory);
  const PlanHeader& header = *plan.header_;
  if (!copies_memory(header)) madvise(memory, size, MADV_DONTFORK);
  bool good = header.magic == kPlanMagic && header.protocol == kProtocolVersion && header.size == size &&
              header.sockets <= kMaxSockets && header.confinement.group_count <= kMaxGroups &&
              header.confinement.limit_count <= kMaxLimits && header.handler_count >= 1 &&
              header.handler_count <= kMaxHandlers;
  for (const PlanStrings& strings :
       {header.listener_path, header.title, header.root, header.directory, header.left_out, header.log_identity,
        header.socket_names, header.banner, header.banner_fail, header.refusal_words, header.sandbox.read,
        header.sandbox.write, header.sandbox.execute}) {
    good = good && plan.holds(strings);
  }
  for (const PlanArray& array :
       {header.access.v4, header.access.v6, header.rules.v4, header.rules.v6, header.rule_list, header.exempt.v4,
        header.exempt.v6, header.proxy.senders.v4, header.proxy.senders.v6, header.sandbox.of_worker,
        header.sandbox.of_child, header.sandbox.connect, header.sandbox.bind}) {
    good = good && plan.holds(array);
  }
  good = good && header.refusal_words.count == kRefusals;
  good = good && (header.proxy.versions == 0 || (header.proxy.versions <= 3 && header.proxy.room > 0));
  for (std::uint32_t i = 0; good && i < header.handler_count; ++i) good = plan.holds(header.handlers[i]);
  for (std::size_t i = 0; good && i < header.rule_list.bytes / sizeof(PlanRule); ++i) {
    good = plan.array<PlanRule>(header.rule_list)[i].handler < header.handler_count;
  }
  if (!good) return sys::Error{"map", "worker plan", EINVAL};
  return plan;
}

const char* Plan::string(PlanStrings strings) const noexcept {
  return strings.count == 0 ? "" : reinterpret_cast<const char*>(header_) + strings.offset;
}

std::vector<const char*> Plan::vector(PlanStrings strings) const {
  std::vector<const char*> out;
  out.reserve(strings.count + 1);
  const char* at = string(strings);
  for (std::uint32_t i = 0; i < strings.count; ++i, at += std::strlen(at) + 1) out.push_back(at);
  out.push_back(nullptr);
  return out;
}

}  // namespace bulkhead::ipc
