//===- Rope.cpp - YaRN tables ---------------------------------------------===//
#include "core/compiler/plan/Build.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

SmallVector<float> modelc::inverseFrequencies(RopeTableOp table) {
  const int64_t dim = sizeOf(table.getDim());
  const double theta = numberOf(table.getTheta());
  const double factor = numberOf(table.getYarn()[0]), original = numberOf(table.getYarn()[1]);
  const double betaFast = numberOf(table.getYarn()[2]), betaSlow = numberOf(table.getYarn()[3]);
  SmallVector<float> frequencies;
  for (int64_t i = 0; i < dim; i += 2)
    frequencies.push_back(1.0f / std::pow(float(theta), float(i) / float(dim)));
  if (factor <= 1)
    return frequencies;
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
  const double factor = numberOf(table.getYarn()[0]);
  if (factor <= 1)
    return 1;
  const double mscale = 0.1 * numberOf(table.getYarn()[4]) * std::log(factor) + 1;
  return mscale * mscale;
}

RopeTableOp modelc::ropeTableOf(Operation *op, FlatSymbolRefAttr name) {
  auto model = op->getParentOfType<ModelOp>();
  auto table = model ? dyn_cast_or_null<RopeTableOp>(SymbolTable::lookupSymbolIn(model, name)) : RopeTableOp();
  if (!table)
    op->emitOpError("names rope table ") << name << ", which the model does not define";
  return table;
}
