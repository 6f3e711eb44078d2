//===- Patterns.cpp - which ops shall run generated code ------------------===//
#include "core/compiler/codegen/Patterns.h"
#include "core/compiler/codegen/Kernels.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace modelc::codegen {

LogicalResult Patterns::parse(StringRef text, MLIRContext *context) {
  patterns.clear();
  SmallVector<StringRef> words;
  text.split(words, ',', -1, /*KeepEmpty=*/false);
  for (StringRef word : words) {
    auto error = [&] { return emitError(UnknownLoc::get(context), "generate: "); };
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(word.trim());
    if (!pattern)
      return error() << "'" << word << "': " << llvm::toString(pattern.takeError());
    SmallVector<StringRef> ops = generatedOps();
    if (llvm::none_of(ops, [&](StringRef op) { return pattern->match(op); }))
      return error() << "no op matches '" << word << "'; there is generated code for " << llvm::join(ops, ", ");
    patterns.push_back(std::move(*pattern));
  }
  return success();
}

} // namespace modelc::codegen
