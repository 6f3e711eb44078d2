//===- Weights.cpp - which weights an op reads, and checking them ---------===//
#include "core/compiler/resolve/Weights.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

int64_t widthOf(Value value) {
  int64_t width = 1;
  for (int64_t size : cast<RankedTensorType>(value.getType()).getShape().drop_front())
    width *= size;
  return width;
}

std::string nameOf(Attribute attr) { return cast<StringAttr>(attr).getValue().str(); }

std::string withoutDigits(StringRef name) {
  std::string out;
  llvm::copy_if(name, std::back_inserter(out), [](char c) { return !llvm::isDigit(c); });
  return out;
}

// The closest name there is, for the message: cheap first filter, then edit distance. The same tensor of another layer
// or expert is no help.
std::string nearest(const TensorIndex &index, const std::string &name) {
  StringRef wanted(name);
  unsigned best = 40;
  std::string found;
  for (const auto &[candidate, info] : index) {
    if (candidate.size() + best < name.size() || name.size() + best < candidate.size())
      continue;
    unsigned distance = wanted.edit_distance(candidate, true, best);
    if (distance < best && withoutDigits(candidate) != withoutDigits(name)) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

// A config may claim more layers than anybody can list.
constexpr size_t kMostProblems = 100000;

std::string shapeText(ArrayRef<int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape.begin(), shape.end(), ", "), "]");
}

} // namespace

SmallVector<WeightUse> modelc::weightsOf(Operation *op, StringRef scope) {
  SmallVector<WeightUse> uses;
  auto use = [&](StringRef attribute, const std::string &name, ArrayRef<int64_t> shape, bool quantizable,
                 StringRef suffix = ".weight") {
    uses.push_back({attribute, scope.str() + name + suffix.str(), SmallVector<int64_t>(shape), quantizable});
  };
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](EmbedOp o) {
        use("weight", nameOf(o.getWeight()), {sizeOf(o.getTo()[0]), sizeOf(o.getTo()[1])}, false);
      })
      .Case([&](LinearOp o) {
        int64_t n = 1;
        for (Attribute size : o.getTo())
          n *= sizeOf(size);
        use("weight", nameOf(o.getWeight()), {n, widthOf(o.getX())}, !o.getUnquantized());
      })
      .Case([&](RmsNormOp o) {
        use("weight", nameOf(o.getWeight()), {o.getWidth() ? sizeOf(*o.getWidth()) : widthOf(o.getX())}, false);
      })
      .Case([&](LayerNormOp o) {
        use("weight", nameOf(o.getWeight()), {widthOf(o.getX())}, false);
        use("bias", nameOf(o.getBias()), {widthOf(o.getX())}, false, ".bias");
      })
      .Case([&](LinearSiluMulOp o) {
        for (auto [attribute, name] : {std::pair("gate", o.getGate()), std::pair("up", o.getUp())})
          use(attribute, nameOf(name), {sizeOf(o.getInner()), widthOf(o.getX())}, true);
      })
      .Case([&](MLALatentOp o) { use("weight", nameOf(o.getWeight()), {sizeOf(o.getLatent())}, false); })
      .Case([&](MLAAttendOp o) {
        int64_t heads = cast<RankedTensorType>(o.getQ().getType()).getShape()[1];
        auto latent = o.getCache().getDefiningOp<MLALatentOp>();
        use("weight", nameOf(o.getWeight()),
            {heads * (sizeOf(o.getNope()) + sizeOf(o.getValue())), latent ? sizeOf(latent.getLatent()) : 0}, true);
      })
      .Case([&](DSAKeyOp o) {
        int64_t dim = sizeOf(o.getDim());
        use("weight", nameOf(o.getWeight()), {dim, widthOf(o.getX())}, true);
        use("norm", nameOf(o.getNorm()), {dim}, false);
        use("bias", nameOf(o.getNorm()), {dim}, false, ".bias");
      })
      .Case([&](DSAScoreOp o) {
        use("weight", nameOf(o.getWeight()), {sizeOf(o.getHeads()) * sizeOf(o.getDim()), widthOf(o.getQLatent())},
            true);
        use("heads_weight", nameOf(o.getHeadsWeight()), {sizeOf(o.getHeads()), widthOf(o.getX())}, false);
      })
      .Case([&](MoERouteOp o) { use("bias", nameOf(o.getBias()), {widthOf(o.getLogits())}, false, ""); })
      .Case([&](FfnOp o) {
        std::string at = o.getAt() && !o.getAt()->empty() ? o.getAt()->str() + "." : "";
        int64_t inner = sizeOf(o.getInner()), width = widthOf(o.getX());
        use("gate", at + "gate_proj", {inner, width}, true);
        use("up", at + "up_proj", {inner, width}, true);
        use("down", at + "down_proj", {width, inner}, true);
      })
      .Case([&](MoEExpertsOp o) {
        std::string at = o.getAt().str() + ".{expert}.";
        int64_t experts = sizeOf(o.getExperts()), inner = sizeOf(o.getInner()), width = widthOf(o.getX());
        use("gate", at + "gate_proj", {experts, inner, width}, true);
        use("up", at + "up_proj", {experts, inner, width}, true);
        use("down", at + "down_proj", {experts, width, inner}, true);
      });
  return uses;
}

void WeightResolver::check(const std::string &name, ArrayRef<int64_t> shape, DType &dtype, bool &first,
                           bool quantizable) {
  auto it = checkpoint->find(name);
  if (it == checkpoint->end()) {
    // Names are long and many: the nearest is looked up for the first few alone.
    std::string hint = problems.size() < 8 ? nearest(*checkpoint, name) : "";
    problems.push_back(absl::StrCat("weight '", name, "' is missing", hint.empty() ? "" : "; nearest name: '", hint,
                                    hint.empty() ? "" : "'"));
    return;
  }
  const TensorInfo &info = it->second;
  if (ArrayRef<int64_t>(info.shape) != shape)
    problems.push_back(absl::StrCat("weight '", name, "' is ", shapeText(info.shape), ", want ", shapeText(shape)));
  const std::string found(Name(info.dtype));
  if (info.dtype != DType::kF32 && info.dtype != DType::kBF16 && !(info.dtype == DType::kF8E4M3 && quantizable)) {
    problems.push_back(
        absl::StrCat("weight '", name, "' is ", found, ", want ", quantizable ? "f8e4m3, bf16 or f32" : "bf16 or f32"));
    return;
  }
  if (!first && info.dtype != dtype)
    problems.push_back(
        absl::StrCat("weight '", name, "' is ", found, ", other layers or experts have ", std::string(Name(dtype))));
  if (first)
    dtype = info.dtype;
  first = false;
  if (info.dtype != DType::kF8E4M3)
    return;
  auto scale = checkpoint->find(name + "_scale_inv");
  SmallVector<int64_t> blocks{(shape[0] + 127) / 128, (shape[1] + 127) / 128};
  if (scale == checkpoint->end())
    problems.push_back(absl::StrCat("weight '", name, "' is f8e4m3 but '", name, "_scale_inv' is missing"));
  else if (scale->second.dtype != DType::kF32 || ArrayRef<int64_t>(scale->second.shape) != ArrayRef<int64_t>(blocks))
    problems.push_back(absl::StrCat("scales '", name, "_scale_inv' are ", std::string(Name(scale->second.dtype)), " ",
                                    shapeText(scale->second.shape), ", want f32 ", shapeText(blocks)));
}

WeightAttr WeightResolver::resolve(const WeightUse &use, int64_t firstLayer, int64_t lastLayer) {
  const bool stacked = use.name.find("{expert}") != std::string::npos;
  const bool layered = use.name.find("{layer}") != std::string::npos;
  DType dtype = quantized && use.quantizable ? DType::kF8E4M3 : DType::kBF16;
  if (use.name.find("e_score_correction_bias") != std::string::npos)
    dtype = DType::kF32;
  if (checkpoint) {
    bool first = true;
    size_t before = problems.size();
    ArrayRef<int64_t> shape(use.shape);
    ArrayRef<int64_t> one = stacked ? shape.drop_front() : shape;
    const int64_t end = layered ? lastLayer : 1;
    for (int64_t layer = layered ? firstLayer : 0; layer < end && problems.size() < kMostProblems; ++layer)
      for (int64_t expert = 0; expert < (stacked ? shape[0] : 1) && problems.size() < kMostProblems; ++expert)
        check(absl::StrReplaceAll(use.name, {{"{layer}", absl::StrCat(layer)}, {"{expert}", absl::StrCat(expert)}}),
              one, dtype, first, use.quantizable);
    if (problems.size() != before || problems.size() == kMostProblems)
      return {};
  }
  Builder b(context);
  Type element = dtype == DType::kF8E4M3 ? Type(Float8E4M3FNType::get(context))
                 : dtype == DType::kBF16 ? Type(b.getBF16Type())
                                         : Type(b.getF32Type());
  return WeightAttr::get(context, use.name, dtype == DType::kF8E4M3 ? use.name + "_scale_inv" : "",
                         RankedTensorType::get(use.shape, element), /*format=*/StringAttr());
}

LogicalResult WeightResolver::report(Operation *op) {
  if (problems.empty())
    return success();
  constexpr size_t kShown = 50;
  for (size_t i = 0; i < problems.size() && i < kShown; ++i)
    op->emitError(problems[i]);
  if (problems.size() > kShown)
    op->emitError() << problems.size() - kShown << (problems.size() < kMostProblems ? "" : " and")
                    << " more weights do not fit";
  return failure();
}
