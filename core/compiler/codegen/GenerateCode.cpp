//===- GenerateCode.cpp - the code of one op by itself --------------------===//
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/compiler/codegen/Image.h"
#include "core/compiler/codegen/Kernels.h"
#include "core/compiler/generate.h"
#include "core/compiler/kernel/Json.h"
#include "core/support/status.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace modelc {
namespace {

Attribute attributeOf(Builder &b, const nlohmann::json &value) {
  if (value.is_boolean())
    return b.getBoolAttr(value.get<bool>());
  if (value.is_number_integer())
    return b.getI64IntegerAttr(value.get<int64_t>());
  if (value.is_number())
    return b.getF64FloatAttr(value.get<double>());
  if (value.is_object()) {
    NamedAttrList names;
    for (const auto &[name, element] : value.items())
      names.append(name, attributeOf(b, element));
    return names.getDictionary(b.getContext());
  }
  if (value.is_array() && llvm::all_of(value, [](const nlohmann::json &n) { return n.is_number_integer(); }))
    return b.getDenseI64ArrayAttr(value.get<std::vector<int64_t>>());
  if (value.is_array()) {
    SmallVector<Attribute> list;
    for (const nlohmann::json &element : value)
      list.push_back(attributeOf(b, element));
    return b.getArrayAttr(list);
  }
  return b.getStringAttr(value.is_string() ? value.get<std::string>() : "");
}

Type elementOf(Builder &b, StringRef dtype) {
  if (dtype == "bf16")
    return b.getBF16Type();
  if (dtype == "f8e4m3")
    return Float8E4M3FNType::get(b.getContext());
  if (dtype == "i32")
    return b.getI32Type();
  return dtype == "u8" ? Type(b.getIntegerType(8, /*isSigned=*/false)) : Type(b.getF32Type());
}

codegen::KernelTensor tensorOf(Builder &b, const TensorForm &form) {
  codegen::KernelTensor tensor;
  if (form.dtype.empty())
    return tensor;
  tensor.element = elementOf(b, form.dtype);
  tensor.blockScales = form.dtype == "f8e4m3";
  for (const std::string &dim : form.dims) {
    int64_t number = 0;
    const bool named = StringRef(dim).getAsInteger(10, number);
    tensor.dims.push_back(named ? Attribute(b.getStringAttr(dim)) : Attribute(b.getI64IntegerAttr(number)));
  }
  return tensor;
}

} // namespace

absl::StatusOr<Code> GenerateCode(std::string_view manifestText, const std::string &op, std::string_view attributesJson,
                                  const std::vector<TensorForm> &tensors) {
  MODELC_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(manifestText));
  if (manifest.target.triple.empty() || !codegen::canGenerate(op))
    return absl::UnimplementedError(absl::StrCat("no generated code for op '", op, "' on this device"));
  for (const TensorForm &form : tensors)
    if (!codegen::canRead(form.dtype))
      return absl::UnimplementedError(absl::StrCat("no generated code for weights in ", form.dtype));
  DialectRegistry registry;
  registry.insert<kernel::KernelDialect>();
  codegen::registerLowering(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::vector<std::string> errors;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { errors.push_back(diagnostic.str()); });

  OpBuilder b(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  b.setInsertionPointToStart(module->getBody());
  const nlohmann::json given = nlohmann::json::parse(attributesJson, nullptr, /*allow_exceptions=*/false);
  if (!given.is_object())
    return absl::InvalidArgumentError("attributes are no JSON object");
  codegen::KernelRequest request{op, cast<DictionaryAttr>(attributeOf(b, given)), {}};
  for (const TensorForm &form : tensors)
    request.tensors.push_back(tensorOf(b, form));
  auto code = codegen::generateKernel(b, UnknownLoc::get(&context), "kernel", request,
                                      codegen::VectorTarget::of(manifest.target));
  if (failed(code) || failed(verify(*module)) || failed(codegen::compileToImage(*code, manifest.target)))
    return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return Code{descriptionOf(*code), code->getImage()->str()};
}

} // namespace modelc
