// bulkhead-worker: see worker_main.h.
#include "worker/worker_main.h"

int main(int argc, char** argv) {
  return bulkhead::worker::worker_main(argc, argv);
}
