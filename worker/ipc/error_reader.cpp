#include "worker/ipc/error_reader.h"

#include <unistd.h>

#include <utility>

#include "worker/ipc/error_pair.h"

namespace bulkhead::ipc {

namespace {

constexpr int kMostQueued = 1024;  // net.unix.max_dgram_qlen is 10 to 512

}  // namespace

ErrorReader::ErrorReader(int read_end, std::string listener, std::uint32_t lines_per_second, Find find,
                         ConnectionOutput::Log log)
    : read_end_(read_end),
      find_(std::move(find)),
      output_(std::move(listener), lines_per_second, std::move(log)),
      // Not cleared: pages that no long write has touched cost no memory.
      buffer_(std::make_unique_for_overwrite<char[]>(kMaxErrorWrite)) {}

Origin ErrorReader::origin_of(pid_t sender, std::int64_t now_ns) {
  if (sender <= 1) return {};
  if (auto own = find_(sender)) return *own;
  Known& known = known_[static_cast<std::size_t>(sender) % known_.size()];
  const pid_t session = getsid(sender);
  if (session < 0) {
    const bool fresh = now_ns - known.at_ns < std::chrono::nanoseconds(kMemory).count();
    return known.sender == sender && fresh ? known.origin : Origin{};
  }
  known = {sender, now_ns, session > 1 ? find_(session).value_or(Origin{}) : Origin{}};
  return known.origin;
}

bool ErrorReader::read_one(std::int64_t now_ns) {
  ErrorWrite write;
  if (!receive_error(read_end_, buffer_.get(), write)) return false;
  ++writes_;
  bytes_ += write.bytes.size();
  output_.take(origin_of(write.sender, now_ns), write.sender, write.bytes, now_ns);
  return true;
}

bool ErrorReader::turn(std::int64_t now_ns) {
  if (now_ns - slice_began_ns_ >= std::chrono::nanoseconds(kSlice).count()) {
    slice_began_ns_ = now_ns;
    writes_ = 0;
    bytes_ = 0;
  }
  for (int i = 0; i < kTurn; ++i) {
    if (writes_ >= kSliceWrites || bytes_ >= kSliceBytes) return true;
    if (!read_one(now_ns)) return false;
  }
  return false;
}

void ErrorReader::drain(std::int64_t now_ns) {
  for (int i = 0; i < kMostQueued && read_one(now_ns); ++i) {
  }
}

void ErrorReader::tick(std::int64_t now_ns) {
  output_.tick(now_ns, [this](const Origin& origin) {
    const auto found = find_(origin.leader);
    return found && found->id == origin.id;
  });
}

}  // namespace bulkhead::ipc
