// bulkhead-module-worker: bulkhead-worker, linked dynamically so that it can load a handler module.
#include "worker/modules/loaded_modules.h"
#include "worker/worker_main.h"

int main(int argc, char** argv) {
  bulkhead::modules::LoadedModules modules;
  return bulkhead::worker::worker_main(argc, argv, &modules);
}
