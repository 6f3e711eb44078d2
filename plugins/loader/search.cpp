// The search path and the choice among the plugins found on it.
#include <algorithm>
#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "plugins/loader/plugin.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFallback = "cpu";  // always there, so chosen last

std::vector<fs::path> SearchFolders() {
  std::vector<fs::path> folders;
  if (const char* path = std::getenv("MODELC_PLUGIN_PATH")) {
    for (absl::string_view folder : absl::StrSplit(path, ':', absl::SkipEmpty())) folders.emplace_back(Std(folder));
  }
  std::error_code ec;
  const fs::path executable = fs::read_symlink("/proc/self/exe", ec);
  if (!ec) folders.push_back(executable.parent_path().parent_path() / "lib" / "modelc");
  return folders;
}

// The libmodelc_*.so of a folder by name; a folder that is missing or unreadable has none.
std::vector<fs::path> LibrariesIn(const fs::path& folder) {
  std::vector<fs::path> libraries;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("libmodelc_") && name.ends_with(".so")) libraries.push_back(it->path());
  }
  std::sort(libraries.begin(), libraries.end());
  return libraries;
}

// "cpu (1 device, /path)", "/path: why it failed"
std::string Describe(const std::vector<FoundPlugin>& found) {
  if (found.empty()) {
    return "no plugin was found; set MODELC_PLUGIN_PATH to the folder of libmodelc_*.so, or name one with --plugin";
  }
  std::vector<std::string> parts;
  for (const FoundPlugin& f : found) {
    if (!f.plugin.ok()) {
      parts.push_back(std::string(f.plugin.status().message()));
      continue;
    }
    const Plugin& plugin = **f.plugin;
    absl::StatusOr<uint32_t> count = plugin.DeviceCount();
    parts.push_back(absl::StrCat(Absl(plugin.name()), " (", f.path.string(), ", ",
                                 count.ok() ? absl::StrCat(*count, " devices") : std::string(count.status().message()),
                                 ")"));
  }
  return absl::StrCat("found: ", absl::StrJoin(parts, "; "));
}

bool HasDevice(const Plugin& plugin) {
  absl::StatusOr<uint32_t> count = plugin.DeviceCount();
  return count.ok() && *count > 0;
}

}  // namespace

std::vector<FoundPlugin> FindPlugins(const PluginSearch& search) {
  std::vector<fs::path> paths = search.explicit_paths;
  for (const fs::path& folder : SearchFolders()) {
    for (fs::path& library : LibrariesIn(folder)) paths.push_back(std::move(library));
  }
  std::vector<FoundPlugin> found;
  std::set<fs::path> seen;
  for (const fs::path& path : paths) {
    std::error_code ec;
    if (!seen.insert(fs::weakly_canonical(path, ec)).second) continue;
    found.push_back({path, Plugin::Load(path)});
  }
  return found;
}

absl::StatusOr<const Plugin*> SelectPlugin(const PluginSearch& search, std::string_view name) {
  // A plugin asked for by path and broken is an error even where another would do.
  for (const fs::path& path : search.explicit_paths) MODELC_RETURN_IF_ERROR(Plugin::Load(path).status());

  const std::vector<FoundPlugin> found = FindPlugins(search);
  const Plugin* fallback = nullptr;
  for (const FoundPlugin& f : found) {
    if (!f.plugin.ok()) continue;
    const Plugin* plugin = *f.plugin;
    if (!name.empty()) {
      if (plugin->name() != name) continue;
      if (HasDevice(*plugin)) return plugin;
      return absl::UnavailableError(absl::StrCat("backend '", Absl(name), "' has no device here; ", Describe(found)));
    }
    if (!HasDevice(*plugin)) continue;
    if (plugin->name() != kFallback) return plugin;
    if (fallback == nullptr) fallback = plugin;
  }
  if (fallback != nullptr) return fallback;
  return absl::NotFoundError(absl::StrCat(
      name.empty() ? "no backend has a device" : absl::StrCat("no backend '", Absl(name), "'"), "; ", Describe(found)));
}

}  // namespace modelc
