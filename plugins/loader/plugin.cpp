#include "plugins/loader/plugin.h"

#define BOOST_DLL_USE_STD_FS
#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "core/support/status.h"
#include "plugins/loader/elf.h"
#include "plugins/loader/host.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

constexpr char kSymbol[] = "modelc_plugin_query";

// Maps the library for the rest of the process's life and finds its entry. The only place where Boost.DLL may throw.
absl::StatusOr<modelc_plugin_query_fn> LoadEntry(const fs::path& library) {
  try {
    boost::dll::shared_library loaded(library, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (!loaded.has(kSymbol)) {
      return absl::NotFoundError(absl::StrCat("does not export '", kSymbol, "', so it is no modelc plugin"));
    }
    modelc_plugin_query_fn entry = &loaded.get<modelc_error*(const modelc_host_api*, modelc_plugin_api*)>(kSymbol);
    static auto& kept = *new std::vector<boost::dll::shared_library>;
    kept.push_back(std::move(loaded));
    return entry;
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("cannot be loaded: ", e.what()));
  }
}

// The names of functions a host cannot do without that the plugin lacks: null, or beyond what it filled.
std::vector<const char*> MissingFunctions(const modelc_plugin_api& api) {
  std::vector<const char*> missing;
#define MODELC_REQUIRE(field) \
  if (!MODELC_KNOWS(modelc_plugin_api, &api, field) || api.field == nullptr) missing.push_back(#field)
  MODELC_REQUIRE(device_count);
  MODELC_REQUIRE(device_open);
  MODELC_REQUIRE(device_close);
  MODELC_REQUIRE(device_info);
  MODELC_REQUIRE(device_describe);
  MODELC_REQUIRE(buffer_alloc);
  MODELC_REQUIRE(buffer_wrap);
  MODELC_REQUIRE(buffer_free);
  MODELC_REQUIRE(buffer_upload);
  MODELC_REQUIRE(buffer_download);
  MODELC_REQUIRE(buffer_copy);
  MODELC_REQUIRE(stream_create);
  MODELC_REQUIRE(stream_free);
  MODELC_REQUIRE(stream_sync);
  MODELC_REQUIRE(kernel_resolve);
  MODELC_REQUIRE(kernel_free);
  MODELC_REQUIRE(submit);
#undef MODELC_REQUIRE
  return missing;
}

// Asks the plugin for its functions and leaves in `api` those both sides know; the rest is null.
absl::Status Negotiate(modelc_plugin_query_fn query, modelc_plugin_api& api) {
  api = {};
  api.struct_size = sizeof api;
  MODELC_RETURN_IF_ERROR(TakeError(query(&HostApi(), &api)));
  if (!MODELC_KNOWS(modelc_plugin_api, &api, abi_minor)) {
    return absl::FailedPreconditionError(
        "states no ABI version; modelc_plugin_query must fill struct_size and the version");
  }
  if (api.abi_major != MODELC_ABI_MAJOR) {
    return absl::FailedPreconditionError(absl::StrCat("was built for ABI ", api.abi_major, ".", api.abi_minor,
                                                      ", this modelc speaks ", MODELC_ABI_MAJOR, ".", MODELC_ABI_MINOR,
                                                      "; build it against this version's plugins/abi/plugin.h"));
  }
  // A newer plugin may report its own, larger size; an older one has filled a front part only.
  api.struct_size = std::min<uint32_t>(api.struct_size, sizeof api);
  if (api.struct_size < sizeof api) {
    std::memset(reinterpret_cast<char*>(&api) + api.struct_size, 0, sizeof api - api.struct_size);
  }
  if (api.name == nullptr || *api.name == '\0' || api.version == nullptr) {
    return absl::FailedPreconditionError("states no name or no version");
  }
  if (std::vector<const char*> missing = MissingFunctions(api); !missing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("lacks functions every plugin needs: ", absl::StrJoin(missing, ", "),
                     "; see plugins/abi/plugin.h, or build it from 'modelc plugin new'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<const Plugin*> Plugin::Load(const fs::path& library) {
  static absl::Mutex mutex(absl::kConstInit);
  static auto& loaded = *new std::map<fs::path, Plugin*>;  // by canonical path; a library is queried once

  const auto failed = [&](const absl::Status& why) {
    return absl::Status(why.code(), absl::StrCat("plugin '", library.string(), "': ", why.message()));
  };
  if (absl::Status status = CheckSharedLibrary(library); !status.ok()) return failed(status);
  std::error_code ec;
  const fs::path path = fs::canonical(library, ec);
  if (ec) return failed(absl::NotFoundError(ec.message()));

  absl::MutexLock lock(&mutex);
  if (auto known = loaded.find(path); known != loaded.end()) return known->second;
  absl::StatusOr<modelc_plugin_query_fn> query = LoadEntry(path);
  if (!query.ok()) return failed(query.status());
  std::unique_ptr<Plugin> plugin(new Plugin);
  plugin->path_ = path;
  if (absl::Status status = Negotiate(*query, plugin->api_); !status.ok()) return failed(status);
  return loaded[path] = plugin.release();
}

absl::StatusOr<uint32_t> Plugin::DeviceCount() const {
  uint32_t count = 0;
  MODELC_RETURN_IF_ERROR(TakeError(api_.device_count(&count)));
  return count;
}

}  // namespace modelc
