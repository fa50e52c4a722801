/* Libraries that are not modules for this version of the interface. */
#include <bulkhead/handler.h>
#include <stddef.h>

#ifdef NO_SYMBOL
int nothing_of_use = 1;
#else

#ifdef OF_ANOTHER_ABI
#define ABI (BULKHEAD_HANDLER_ABI + 41)
#else
#define ABI BULKHEAD_HANDLER_ABI
#endif

static const struct bulkhead_handler handler = {.abi = ABI, .size = sizeof(struct bulkhead_handler)};

const struct bulkhead_handler* bulkhead_module(uint32_t host_abi) {
  (void)host_abi;
#ifdef OFFERS_NOTHING
  return NULL;
#else
  return &handler;
#endif
}

#endif
