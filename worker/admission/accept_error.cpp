#include "worker/admission/accept_error.h"

#include <cerrno>

#include "worker/sys/shortage.h"

namespace bulkhead::admission {

AcceptVerdict judge_accept_error(int error) noexcept {
  switch (error) {
    case EAGAIN: return AcceptVerdict::empty;
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:  // a packet filter has refused one connection
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT: return AcceptVerdict::retry;
    case EINVAL: return AcceptVerdict::dead;
    default: return sys::is_shortage(error) ? AcceptVerdict::pause : AcceptVerdict::broken;
  }
}

}  // namespace bulkhead::admission
