// Holds the layout of the ABI's structs: the offset of every last field. A failure means a field was moved, removed or
// put anywhere but at the end; new fields get a new line here and an entry in plugins/abi/CHANGELOG.md.
#include "plugins/abi/plugin.h"

static_assert(offsetof(modelc_host_api, log) == 32);
static_assert(offsetof(modelc_device_info, threads) == 28);
static_assert(offsetof(modelc_device_options, threads) == 4);
static_assert(offsetof(modelc_tensor, shape) == 40 && sizeof(modelc_tensor) == 72);
static_assert(offsetof(modelc_command, n_tensors) == 16 && sizeof(modelc_command) == 24);
static_assert(offsetof(modelc_plugin_api, submit) == 160);
static_assert(offsetof(modelc_plugin_api, stream_counters) == 168);
static_assert(offsetof(modelc_plugin_api, kernel_load) == 176);
static_assert(offsetof(modelc_code_tensor, shape) == 16 && sizeof(modelc_code_tensor) == 48);

static_assert(MODELC_INVALID_ARGUMENT == 3 && MODELC_UNAVAILABLE == 14);
static_assert(MODELC_F32 == 0 && MODELC_BF16 == 1 && MODELC_F8E4M3 == 2 && MODELC_I32 == 3 && MODELC_U8 == 4);
static_assert(MODELC_INT8 == 5 && MODELC_INT4 == 6);
