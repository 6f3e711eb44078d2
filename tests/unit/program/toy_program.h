// A small program that uses every part of the format: two entries, a repeat over layers, conditions, taps, caches,
// stacked experts.
#ifndef MODELC_TESTS_UNIT_PROGRAM_TOY_PROGRAM_H_
#define MODELC_TESTS_UNIT_PROGRAM_TOY_PROGRAM_H_

#include "core/program/program.h"

namespace modelc::testing {

inline Program FullProgram() {
  using Kind = Operand::Kind;
  const auto input = [](Input i) { return Operand{Kind::kInput, static_cast<uint32_t>(i)}; };
  const Dim rows{.factor = 1, .dynamic = true, .size = Size::kT};
  Program p;
  p.model = "toy";
  p.backend = "cpu";
  p.numerics = "reference";
  p.parameters = {{"hidden_size", 8}, {"eps", 1e-6}};
  p.limits = {4, 2, 2, 3, 192, 8};
  p.arena_bytes = 512;
  p.buffers = {{"x", {DType::kF32, {rows, {.factor = 8}}}, 0, 128},
               {"y", {DType::kF32, {rows, {.factor = 8}}}, 128, 128},
               {"routed", {DType::kI32, {{.factor = 1, .dynamic = true, .size = Size::kM}}}, 256, 64}};
  p.weights = {{"embed.weight", "", DType::kF32, {16, 8}, 0},
               {"layers.{layer}.proj.weight", "layers.{layer}.proj.weight_scale_inv", DType::kF8E4M3, {8, 8}, 0},
               {"layers.{layer}.experts.{expert}.weight", "", DType::kBF16, {4, 8, 8}, 4, DType::kInt4}};
  p.constants = {{"inv_freq", {1.f, 0.1f, 1e-7f}}};
  p.code = {{R"({"entry":0})", std::string("\x31\xc0\x00\xff", 4)}};
  p.caches = {{CacheKind::kLatent, 3, 656, "f8"}, {CacheKind::kIndex, 3, 8448, "f8"}};
  const Operand x{Kind::kBuffer, 0}, y{Kind::kBuffer, 1};
  Entry step{.name = "step", .body = {}, .outputs = {{"logits", 1}}};
  step.body.push_back({0, 1, {{"embed", "embed", "{}", {input(Input::kIds), {Kind::kWeight, 0}, x}, {}, {}, "toy.mlir:3:5"}}});
  Launch linear{"linear", "linear_any", R"({"act":"none"})", {x, {Kind::kWeight, 1}, y}, {}, {{"hidden", 2}}, ""};
  Launch select{"dsa.select", "select", R"({"k":2})", {y, input(Input::kPos), {}, {Kind::kConstant, 0}, {Kind::kCache, 1}}, {}, {}, ""};
  select.code = 0;
  select.condition = {Condition::When::kContextAbove, 64};
  step.body.push_back({0, 2, {linear, select}});
  p.entries = {step, {.name = "draft", .body = {{2, 1, {linear}}}, .outputs = {}}};
  p.hash = "abc";
  p.weights_folder = "/models/toy";
  return p;
}

}  // namespace modelc::testing

#endif  // MODELC_TESTS_UNIT_PROGRAM_TOY_PROGRAM_H_
