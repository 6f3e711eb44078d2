//===- Extensions.cpp - dialects and passes from libraries ----------------===//
#include "core/compiler/Extensions.h"

#include "absl/strings/str_cat.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

namespace modelc {
namespace {

absl::Status refused(const std::string &path, llvm::Error error) {
  return absl::InvalidArgumentError(absl::StrCat("cannot load '", path, "': ", llvm::toString(std::move(error))));
}

} // namespace

absl::Status loadDialectPlugin(const std::string &path, DialectRegistry &registry) {
  llvm::Expected<DialectPlugin> plugin = DialectPlugin::load(path);
  if (!plugin)
    return refused(path, plugin.takeError());
  plugin->registerDialectRegistryCallbacks(registry);
  return absl::OkStatus();
}

absl::Status loadPassPlugin(const std::string &path) {
  llvm::Expected<PassPlugin> plugin = PassPlugin::load(path);
  if (!plugin)
    return refused(path, plugin.takeError());
  plugin->registerPassRegistryCallbacks();
  return absl::OkStatus();
}

absl::Status loadExtension(const std::string &path, DialectRegistry &registry) {
  absl::Status dialects = loadDialectPlugin(path, registry);
  absl::Status passes = loadPassPlugin(path);
  return dialects.ok() ? dialects : passes;
}

} // namespace modelc
