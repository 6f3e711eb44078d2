//===- Json.cpp - what crosses to the runtime as JSON ---------------------===//
#include "core/compiler/kernel/Json.h"

using namespace mlir;
using namespace modelc;

DType modelc::dtypeOf(Type type) {
  if (isa<Float8E4M3FNType>(type))
    return DType::kF8E4M3;
  return type.isBF16() ? DType::kBF16 : type.isInteger(32) ? DType::kI32 : DType::kF32;
}

FailureOr<nlohmann::json> modelc::jsonOf(Attribute attr) {
  if (auto text = dyn_cast<StringAttr>(attr))
    return nlohmann::json(text.getValue().str());
  if (auto truth = dyn_cast<BoolAttr>(attr))
    return nlohmann::json(truth.getValue());
  if (auto whole = dyn_cast<IntegerAttr>(attr))
    return nlohmann::json(whole.getInt());
  if (auto number = dyn_cast<FloatAttr>(attr))
    return nlohmann::json(number.getValueAsDouble());
  if (auto numbers = dyn_cast<DenseI64ArrayAttr>(attr))
    return nlohmann::json(numbers.asArrayRef().vec());
  if (auto list = dyn_cast<ArrayAttr>(attr)) {
    nlohmann::json json = nlohmann::json::array();
    for (Attribute element : list) {
      FailureOr<nlohmann::json> value = jsonOf(element);
      if (failed(value))
        return failure();
      json.push_back(*std::move(value));
    }
    return json;
  }
  auto names = dyn_cast<DictionaryAttr>(attr);
  if (!names)
    return failure();
  nlohmann::json json = nlohmann::json::object();
  for (NamedAttribute named : names) {
    FailureOr<nlohmann::json> value = jsonOf(named.getValue());
    if (failed(value))
      return failure();
    json[named.getName().str()] = *std::move(value);
  }
  return json;
}

std::string modelc::descriptionOf(kernel::CodeOp code) {
  nlohmann::json tensors = nlohmann::json::array();
  for (Attribute attr : code.getTensors()) {
    nlohmann::json &form = tensors.emplace_back();
    auto parts = dyn_cast<ArrayAttr>(attr);
    if (!parts)
      continue; // null: left out
    Type type = cast<TypeAttr>(parts[0]).getValue();
    form = nlohmann::json::array({type.isInteger(8) ? "u8" : std::string(Name(dtypeOf(type)))});
    for (Attribute size : parts.getValue().drop_front())
      form.push_back(*jsonOf(size));
  }
  return nlohmann::json{{"name", code.getSymName().str()},
                        {"entry", *code.getEntry()},
                        {"target", code.getTarget()->str()},
                        {"scratch", code.getScratch()},
                        {"grid", *jsonOf(code.getGrid())},
                        {"tensors", tensors}}
      .dump();
}
