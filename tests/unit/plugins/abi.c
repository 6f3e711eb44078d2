/* plugins/abi/plugin.h compiles alone, as C99. */
#include "plugins/abi/plugin.h"

int modelc_abi_is_c99(const modelc_plugin_api* api);
int modelc_abi_is_c99(const modelc_plugin_api* api) { return MODELC_KNOWS(modelc_plugin_api, api, submit); }
