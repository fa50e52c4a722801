#include "master/upgrade/handover_descriptors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace bulkhead::upgrade {

namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::string identity_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0) return fmt::format("socket {}", cookie);
  struct stat status {};
  if (fstat(fd, &status) != 0) return "";
  return fmt::format("file {} {} {:o}", status.st_dev, status.st_ino, status.st_mode & S_IFMT);
}

}  // namespace

std::optional<sys::Error> name_descriptors(Handover& handover) {
  std::optional<sys::Error> error;
  handover.descriptors.clear();
  for_each_descriptor(handover, [&](int& fd) {
    handover.descriptors.push_back({fd, identity_of(fd)});
    if (handover.descriptors.back().identity.empty()) error = sys::Error{"fstat", fmt::format("{}", fd), errno};
  });
  return error;
}

sys::Result<sys::Fd> seal_state(const std::string& text) {
  sys::Fd out(memfd_create("bulkhead-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!out) return sys::Error{"memfd_create", "state", errno};
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(out.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return sys::Error{"write", "state", errno};
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fcntl(out.get(), F_ADD_SEALS, kSeals) != 0) return sys::Error{"seal", "state", errno};
  return out;
}

sys::Result<std::string> read_state(int fd) {
  if (fcntl(fd, F_GET_SEALS) != kSeals)
    return sys::Error{fmt::format("descriptor {} does not hold a sealed state", fd), "", 0};
  struct stat status {};
  if (fstat(fd, &status) != 0) return sys::Error{"fstat", "state", errno};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = pread(fd, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return sys::Error{"read", "state", errno};
    have += static_cast<std::size_t>(got);
  }
  return text;
}

Passage::Passage(const Handover& handover, int state) : passed_{state} {
  for (const DescriptorIdentity& one : handover.descriptors) passed_.push_back(one.fd);
  for (const int fd : passed_) {
    if (fcntl(fd, F_SETFD, 0) != 0) error_ = errno;
  }
}

Passage::~Passage() {
  for (const int fd : passed_) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void receive_descriptors(const Handover& handover, int state, bool may_go_back) noexcept {
  std::vector<int> keep{STDERR_FILENO, state};
  for (const DescriptorIdentity& one : handover.descriptors) keep.push_back(one.fd);
  std::ranges::sort(keep);
  unsigned first = 0;
  for (const int fd : keep) {
    if (fd < STDERR_FILENO) continue;
    if (fd > STDERR_FILENO && !may_go_back) fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (first != 0 && static_cast<unsigned>(fd) > first) close_range(first, static_cast<unsigned>(fd) - 1, 0);
    first = static_cast<unsigned>(fd) + 1;
  }
  close_range(first, UINT_MAX, 0);
}

std::string check_descriptors(const Handover& handover) {
  for (const DescriptorIdentity& one : handover.descriptors) {
    if (one.fd <= STDERR_FILENO || one.identity.empty() || identity_of(one.fd) != one.identity) {
      return fmt::format("descriptor {} has been replaced by another", one.fd);
    }
  }
  return "";
}

std::string copy_descriptors(Handover& handover) {
  std::string problem;
  for_each_descriptor(handover, [&](int& fd) {
    const bool named =
        std::ranges::find(handover.descriptors, fd, &DescriptorIdentity::fd) != handover.descriptors.end();
    const int copy = named ? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    if (copy < 0 && problem.empty()) {
      problem = named ? sys::Error{"dup", "descriptor", errno}.text() : fmt::format("descriptor {} is not listed", fd);
    }
    fd = copy;
  });
  return problem;
}

void close_originals(const Handover& handover) noexcept {
  for (const DescriptorIdentity& one : handover.descriptors) ::close(one.fd);
}

}  // namespace bulkhead::upgrade
