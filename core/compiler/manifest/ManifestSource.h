//===- ManifestSource.h - where a pass gets its manifest from ---*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_MANIFEST_MANIFESTSOURCE_H
#define MODELC_CORE_COMPILER_MANIFEST_MANIFESTSOURCE_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/Support/FileUtilities.h"
#include "plugins/manifest/manifest.h"
#include "llvm/Support/MemoryBuffer.h"

namespace modelc {

/// A manifest given as text, or read from the file a pass option names.
class ManifestSource {
public:
  ManifestSource() = default;
  explicit ManifestSource(std::string text) : text(std::move(text)) {}

  /// Reads `file` unless it is empty, then parses. For `Pass::initialize`.
  llvm::LogicalResult load(const std::string &file, mlir::MLIRContext *context) {
    auto error = [&] { return mlir::emitError(mlir::UnknownLoc::get(context)); };
    if (!file.empty()) {
      std::string message;
      std::unique_ptr<llvm::MemoryBuffer> buffer = mlir::openInputFile(file, &message);
      if (!buffer)
        return error() << "manifest: " << message;
      text = buffer->getBuffer().str();
    }
    if (text.empty())
      return error() << "no manifest given; name the backend's with --manifest FILE";
    absl::StatusOr<Manifest> parsed = ParseManifest(text);
    if (!parsed.ok())
      return error() << std::string(parsed.status().message());
    manifest = *std::move(parsed);
    return mlir::success();
  }

  const Manifest &operator*() const { return manifest; }
  const Manifest *operator->() const { return &manifest; }

private:
  std::string text;
  Manifest manifest;
};

} // namespace modelc

#endif // MODELC_CORE_COMPILER_MANIFEST_MANIFESTSOURCE_H
