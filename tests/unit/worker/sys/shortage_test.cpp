#include "worker/sys/shortage.h"

#include <catch2/catch.hpp>

TEST_CASE("a lack of processes, memory or descriptors is a shortage; a mistake is none") {
  using bulkhead::sys::is_shortage;
  for (const int error : {EAGAIN, ENOMEM, ENOBUFS, EMFILE, ENFILE, ENOSPC}) CHECK(is_shortage(error));
  for (const int error : {0, EINVAL, ENOSYS, EPERM, ENOENT, EBADF}) CHECK_FALSE(is_shortage(error));
}
