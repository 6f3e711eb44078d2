//===- Rope.cpp - YaRN tables ---------------------------------------------===//
#include "core/compiler/plan/Build.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

struct Yarn {
  double factor, original, betaFast, betaSlow, mscaleAllDim;
};

// What the table scales by; nothing for one that does not.
std::optional<Yarn> yarnOf(RopeTableOp table) {
  std::optional<ArrayAttr> numbers = table.getYarn();
  if (!numbers || numberOf((*numbers)[0]) <= 1)
    return std::nullopt;
  auto at = [&](unsigned i) { return numberOf((*numbers)[i]); };
  return Yarn{at(0), at(1), at(2), at(3), at(4)};
}

} // namespace

SmallVector<float> modelc::inverseFrequencies(RopeTableOp table) {
  const int64_t dim = sizeOf(table.getDim());
  const double theta = numberOf(table.getTheta());
  SmallVector<float> frequencies;
  for (int64_t i = 0; i < dim; i += 2)
    frequencies.push_back(1.0f / std::pow(float(theta), float(i) / float(dim)));
  std::optional<Yarn> yarn = yarnOf(table);
  if (!yarn)
    return frequencies;
  const auto [factor, original, betaFast, betaSlow, mscale] = *yarn;
  // The dimension that turns `rotations` times over the original context.
  auto dimensionOf = [&](double rotations) {
    return double(dim) * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  const double low = std::max(std::floor(dimensionOf(betaFast)), 0.0);
  const double high = std::min(std::ceil(dimensionOf(betaSlow)), double(dim - 1));
  for (int64_t i = 0; i < dim / 2; ++i) {
    const double ramp = std::clamp((double(i) - low) / std::max(high - low, 1e-3), 0.0, 1.0);
    const float smooth = float(1 - ramp);
    frequencies[i] = frequencies[i] / float(factor) * (1 - smooth) + frequencies[i] * smooth;
  }
  return frequencies;
}

double modelc::attentionFactor(RopeTableOp table) {
  std::optional<Yarn> yarn = yarnOf(table);
  if (!yarn)
    return 1;
  const double mscale = 0.1 * yarn->mscaleAllDim * std::log(yarn->factor) + 1;
  return mscale * mscale;
}

RopeTableOp modelc::ropeTableOf(Operation *op, FlatSymbolRefAttr name) {
  auto model = op->getParentOfType<ModelOp>();
  auto table = model ? dyn_cast_or_null<RopeTableOp>(SymbolTable::lookupSymbolIn(model, name)) : RopeTableOp();
  if (!table)
    op->emitOpError("names rope table ") << name << ", which the model does not define";
  return table;
}
