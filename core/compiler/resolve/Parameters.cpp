//===- Parameters.cpp - lm.param values from the configs ------------------===//
#include "core/compiler/resolve/Parameters.h"

#include "mlir/IR/Builders.h"

#include <cmath>

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

std::string text(Attribute attr) {
  if (auto s = dyn_cast<StringAttr>(attr))
    return nlohmann::json(s.getValue().str()).dump();
  if (auto b = dyn_cast<BoolAttr>(attr))
    return b.getValue() ? "true" : "false";
  if (auto a = dyn_cast<ArrayAttr>(attr)) {
    std::string out = "[";
    for (Attribute element : a)
      out += (out.size() > 1 ? "," : "") + text(element);
    return out + "]";
  }
  if (auto i = dyn_cast<IntegerAttr>(attr))
    return std::to_string(i.getInt());
  return "?";
}

// A key the model file does not cover but which would change what the model computes.
LogicalResult checkExpectations(ModelOp model, const nlohmann::json &config) {
  LogicalResult result = success();
  DictionaryAttr expects = model.getExpectsAttr();
  if (!expects)
    return result;
  for (NamedAttribute expected : expects) {
    nlohmann::json found = lookUp(config, expected.getName().str());
    if (found.is_null() || found.dump() == text(expected.getValue()))
      continue;
    model.emitError("config has ") << expected.getName().getValue() << " = " << found.dump()
                                   << ", this model file describes " << text(expected.getValue())
                                   << "; use a model file for that architecture";
    result = failure();
  }
  return result;
}

// A config value as the attribute a parameter wants: whole numbers stay whole, `true` is 1. Null when it is no such
// number.
Attribute toAttribute(Builder &b, const nlohmann::json &value, bool whole) {
  constexpr double kExact = 9007199254740992.0; // 2^53
  if (value.is_boolean())
    return b.getI64IntegerAttr(value.get<bool>());
  if (value.is_number_integer())
    return b.getI64IntegerAttr(value.get<int64_t>());
  if (!value.is_number_float())
    return {};
  const double number = value.get<double>();
  if (!whole)
    return b.getF64FloatAttr(number);
  if (number != std::floor(number) || std::fabs(number) > kExact)
    return {};
  return b.getI64IntegerAttr(static_cast<int64_t>(number));
}

struct Resolver {
  const nlohmann::json &config;
  const bool described;
  llvm::StringMap<Attribute> values; // of the parameters so far; null: already reported as wrong

  // Null when the operand was reported before.
  FailureOr<Attribute> operand(ParamOp param, Attribute attr) {
    auto ref = dyn_cast<FlatSymbolRefAttr>(attr);
    if (!ref)
      return attr;
    auto it = values.find(ref.getValue());
    if (it == values.end())
      return param.emitOpError("uses ") << ref << ", which is not defined above it";
    return it->second;
  }

  FailureOr<Attribute> combine(ParamOp param) {
    FailureOr<Attribute> a = operand(param, param.getValue()), b = operand(param, *param.getRhs());
    if (failed(a) || failed(b))
      return failure();
    if (!*a || !*b)
      return Attribute();
    int64_t result;
    if (*param.getCombine() == "+" ? __builtin_add_overflow(sizeOf(*a), sizeOf(*b), &result)
                                   : __builtin_mul_overflow(sizeOf(*a), sizeOf(*b), &result))
      return param.emitOpError("overflows");
    return Attribute(Builder(param.getContext()).getI64IntegerAttr(result));
  }

  FailureOr<Attribute> value(ParamOp param) {
    if (param.getCombine())
      return combine(param);
    std::string key = param.getFrom().value_or(param.getSymName()).str();
    nlohmann::json found = lookUp(config, key);
    if (!found.is_null()) {
      const bool whole = isa<IntegerAttr>(param.getValue());
      Builder b(param.getContext());
      if (Attribute value = toAttribute(b, found, whole))
        return value;
      return param.emitOpError("config key '")
             << key << "' is " << found.dump() << "; want a" << (whole ? " whole" : "") << " number";
    }
    if (!described)
      return operand(param, param.getValue());
    if (param.getOtherwise())
      return operand(param, *param.getOtherwise());
    return param.emitOpError("config key '") << key << "' is missing; add it to config.json";
  }
};

} // namespace

bool modelc::configDescribes(ModelOp model, const nlohmann::json &config) {
  return llvm::any_of(model.getOps<ParamOp>(), [&](ParamOp param) {
    return !lookUp(config, param.getFrom().value_or(param.getSymName()).str()).is_null();
  });
}

FailureOr<DictionaryAttr> modelc::resolveParameters(ModelOp model, const nlohmann::json &config) {
  LogicalResult result = checkExpectations(model, config);
  Resolver resolver{config, configDescribes(model, config), {}};
  NamedAttrList list;
  for (ParamOp param : model.getOps<ParamOp>()) {
    FailureOr<Attribute> value = resolver.value(param);
    if (succeeded(value) && isa_and_nonnull<IntegerAttr>(*value) &&
        (sizeOf(*value) < 0 || sizeOf(*value) > (int64_t{1} << 31)))
      value = param.emitOpError("is ") << sizeOf(*value) << "; it must be between 0 and 2^31";
    if (failed(value))
      result = failure();
    resolver.values[param.getSymName()] = value.value_or(Attribute());
    if (succeeded(value) && *value)
      list.append(param.getSymName(), *value);
  }
  if (failed(result))
    return failure();
  return list.getDictionary(model.getContext());
}
