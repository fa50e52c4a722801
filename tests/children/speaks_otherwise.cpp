// A worker whose messages have a later version.
#include <sys/socket.h>
#include <unistd.h>

#include "worker/ipc/channel.h"
#include "worker/ipc/message.h"

int main() {
  using namespace bulkhead::ipc;
  Hello hello;
  hello.version = kProtocolVersion + 1;
  if (!send(kChannelFd, hello)) return 1;
  for (;;) pause();
}
