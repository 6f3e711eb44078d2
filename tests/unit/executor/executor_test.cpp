// The executor against a toy plugin: numbers, weights in place and copied, conditions, taps, and every error.
#include "core/runtime/executor/executor.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "tests/unit/checkpoint/safetensors_file.h"
#include "tests/unit/executor/toy_plugin.h"

namespace modelc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using testing::MakeTensor;
using testing::Safetensors;
using testing::TestTensor;

ToyCounts Counts() {
  static const auto counts = reinterpret_cast<decltype(&toy_counts)>(dlsym(dlopen(TOY_PLUGIN, RTLD_NOW), "toy_counts"));
  return *counts();
}

std::unique_ptr<Device> OpenToy(uint32_t ordinal) {
  auto plugin = Plugin::Load(TOY_PLUGIN);
  EXPECT_TRUE(plugin.ok()) << plugin.status();
  auto device = Device::Open(*plugin, ordinal, 0);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

// step: x = embed(ids); in two layers y = x·W[layer], y[0] kept in the layer's cache, and x = y * c while contexts are at
// most 64, else x = y + the sum of what was kept; logits = x[wanted]. draft: hidden through three stacked e4m3 experts.
Program ToyProgram() {
  using Kind = Operand::Kind;
  const auto input = [](Input i) { return Operand{Kind::kInput, static_cast<uint32_t>(i)}; };
  const auto rows = [](Size size) { return Dim{.factor = 1, .dynamic = true, .size = size}; };
  const Operand x{Kind::kBuffer, 0}, y{Kind::kBuffer, 1}, out{Kind::kBuffer, 2}, cache{Kind::kCache, 0};
  const Operand pos = input(Input::kPos), seq = input(Input::kSeq), pages = input(Input::kPages);
  Program p;
  p.backend = "toy";
  p.parameters = {{"vocab_size", 2}, {"hidden_size", 2}};
  p.limits = {4, 4, 2, 2, 128, 0};
  p.arena_bytes = 192;
  p.buffers = {{"x", {DType::kF32, {rows(Size::kT), {.factor = 2}}}, 0, 64},
               {"y", {DType::kF32, {rows(Size::kT), {.factor = 2}}}, 64, 64},
               {"logits", {DType::kF32, {rows(Size::kN), {.factor = 2}}}, 128, 64}};
  p.weights = {{"embed", "", DType::kF32, {2, 2}, 0},
               {"l{layer}.w", "", DType::kF32, {2, 2}, 0},
               {"l{layer}.e{expert}", "l{layer}.e{expert}.scale", DType::kF8E4M3, {3, 2, 2}, 3}};
  p.constants = {{"c", {2.f, 10.f}}};
  p.caches = {{CacheKind::kLatent, 2, 64 * 4, "f32"}};
  Launch scale{"scale", "scale", "{}", {y, {Kind::kConstant, 0}, x}, {Condition::When::kContextAtMost, 64}, {{"hidden", 2}}, "toy.mlir:9:3"};
  Launch add{"add", "add_kept", "{}", {y, pos, seq, pages, cache, x}, {Condition::When::kContextAbove, 64}, {{"hidden", 5}}, "toy.mlir:10:3"};
  Entry step{"step", {}, {{"logits", 2}, {"hidden", 0}}};
  step.body = {{0, 1, {{"embed", "embed", "{}", {input(Input::kIds), {Kind::kWeight, 0}, x}, {}, {}, "toy.mlir:1:3"}}},
               {0, 2, {{"linear", "linear", "{}", {x, {Kind::kWeight, 1}, y}, {}, {}, "toy.mlir:7:3"},
                       {"append", "append", "{}", {y, pos, seq, pages, cache}, {}, {}, "toy.mlir:8:3"}, scale, add}},
               {0, 1, {{"take_rows", "take_rows", "{}", {x, input(Input::kWanted), out}, {}, {}, "toy.mlir:12:3"}}}};
  Entry draft{"draft", {}, {{"logits", 2}}};
  draft.body = {{1, 1, {{"linear", "linear", "{}", {input(Input::kHidden), {Kind::kWeight, 2}, y}, {}, {}, "toy.mlir:20:3"}}},
                {0, 1, {{"take_rows", "take_rows", "{}", {y, input(Input::kWanted), out}, {}, {}, "toy.mlir:21:3"}}}};
  p.entries = {step, draft};
  return p;
}

constexpr uint8_t kOne = 0x38, kTwo = 0x40;  // e4m3

// Scales and values in an order that keeps the experts of a layer apart.
std::vector<TestTensor> ToyWeights() {
  std::vector<TestTensor> tensors = {MakeTensor<float>("embed", "F32", {2, 2}, {1, 2, 3, 4}),
                                     MakeTensor<float>("l0.w", "F32", {2, 2}, {0, 1, 1, 0}),
                                     MakeTensor<float>("l1.w", "F32", {2, 2}, {1, 1, 0, 1})};
  for (int e : {0, 1, 2}) {
    const std::string name = "l1.e" + std::to_string(e);
    tensors.push_back(MakeTensor<float>(name + ".scale", "F32", {1, 1}, {0.5f}));
    tensors.push_back(MakeTensor<uint8_t>(name, "F8_E4M3", {2, 2}, {kOne, 0, 0, e == 2 ? kTwo : kOne}));
  }
  return tensors;
}

TestTensor& Named(std::vector<TestTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const TestTensor& t) { return t.name == name; });
}

class ExecutorTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  absl::StatusOr<std::unique_ptr<Executor>> Create(Program program, const std::vector<TestTensor>& tensors,
                                                   const LoadProgress& progress = nullptr, int64_t pages = 3) {
    auto checkpoint = Checkpoint::OpenFile(dir_.Write("toy.safetensors", Safetensors(tensors)));
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint_ = *std::move(checkpoint);
    return Executor::Create(std::move(program), *checkpoint_, OpenToy(GetParam()), pages, progress);
  }
  std::unique_ptr<Executor> Make() {
    auto executor = Create(ToyProgram(), ToyWeights());
    EXPECT_TRUE(executor.ok()) << executor.status();
    return *std::move(executor);
  }

  TempDir dir_;
  std::unique_ptr<Checkpoint> checkpoint_;
};
INSTANTIATE_TEST_SUITE_P(Memory, ExecutorTest, ::testing::Values(0u, 1u),
                         [](const auto& info) { return info.param == 0 ? "Host" : "Device"; });

std::vector<float> Values(absl::Span<const float> values) { return {values.begin(), values.end()}; }

// One row of one sequence on pages 2, 0.
struct OneRow {
  int32_t id, pos, seq = 0, wanted = 0;
  int32_t pages[2] = {2, 0};
  StepBatch batch() const { return {{&id, 1}, {&pos, 1}, {&seq, 1}, pages, 1, {&wanted, 1}, {}}; }
};

TEST_P(ExecutorTest, RunsEveryLayerWithItsWeights) {
  auto executor = Make();
  const int32_t ids[] = {0, 1}, pos[] = {0, 1}, seq[] = {0, 0}, pages[] = {1}, wanted[] = {1};
  auto out = executor->Run("step", {ids, pos, seq, pages, 1, wanted, {}});
  ASSERT_TRUE(out.ok()) << out.status();
  // Row 1: (3,4) → l0 swaps (4,3) → *c (8,30) → l1 (38,30) → *c (76,300).
  EXPECT_THAT(Values(out->logits), ElementsAre(76, 300));
  // Row 0: (1,2) → (2,1) → (4,10) → (14,10) → (28,100).
  EXPECT_THAT(Values(out->hidden), ElementsAre(28, 100, 76, 300));
  EXPECT_EQ(executor->pages(), 3);
  EXPECT_EQ(Executor::PageBytes(executor->program()), 2 * 256);
  EXPECT_EQ(executor->weight_bytes(), 4u * 4 + 2 * 4 * 4 + 3 * (4 + 4));
}

TEST_P(ExecutorTest, NoWantedRowsGiveNoLogits) {
  auto executor = Make();
  OneRow row{0, 0};
  StepBatch batch = row.batch();
  batch.wanted = {};
  auto out = executor->Run("step", batch);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_TRUE(out->logits.empty());
  EXPECT_EQ(out->hidden.size(), 2u);
}

TEST_P(ExecutorTest, ConditionsFollowTheContextAndCachesTheLayer) {
  auto executor = Make();
  // Keeps (2, 14) in layers 0 and 1 at position 3, as above; the rest of the cache is zero.
  ASSERT_TRUE(executor->Run("step", OneRow{0, 3}.batch()).ok());
  // Context 65: x + sum of kept. (3,4) → (4,3), kept 4, sum 2 + 4 → (10,9) → l1 (19,9), kept 19, sum 14 + 19 → (52,42).
  auto out = executor->Run("step", OneRow{1, 64}.batch());
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(Values(out->logits), ElementsAre(52, 42));
  out = executor->Run("step", OneRow{0, 5}.batch());  // and back under the condition
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(Values(out->logits), ElementsAre(28, 100));
}

TEST_P(ExecutorTest, StacksExpertsInTheirOrder) {
  auto executor = Make();
  const float hidden[] = {1, 10};
  const int32_t id = 0, pos = 0, seq = 0, page = 0, wanted = 0;
  auto out = executor->Run("draft", {{&id, 1}, {&pos, 1}, {&seq, 1}, {&page, 1}, 1, {&wanted, 1}, hidden});
  ASSERT_TRUE(out.ok()) << out.status();
  // Σ (e+1) * 0.5 * W[e]: 0.5·(1+2+3) = 3 and 0.5·(1 + 2 + 3·2)·10 = 45.
  EXPECT_THAT(Values(out->logits), ElementsAre(3, 45));
  EXPECT_TRUE(out->hidden.empty());
}

TEST_P(ExecutorTest, TensorsStayWhereTheyAreMappedIfTheLayoutAllows) {
  const int before = Counts().wrapped;
  auto apart = Make();
  // embed, l0.w, l1.w; the experts and their scales lie apart.
  EXPECT_EQ(Counts().wrapped - before, GetParam() == 0 ? 3 : 0);
  std::vector<TestTensor> tensors = ToyWeights();
  std::sort(tensors.begin(), tensors.end(), [](const TestTensor& a, const TestTensor& b) {
    return std::pair(a.dtype != "F32", a.name) < std::pair(b.dtype != "F32", b.name);
  });
  auto together = Create(ToyProgram(), tensors);
  ASSERT_TRUE(together.ok()) << together.status();
  EXPECT_EQ(Counts().wrapped - before, GetParam() == 0 ? 3 + 5 : 0);
}

TEST_P(ExecutorTest, MisalignedTensorsAreCopied) {
  std::vector<TestTensor> tensors = ToyWeights();
  tensors.insert(tensors.begin(), MakeTensor<uint8_t>("pad", "U8", {1}, {0}));
  auto executor = Create(ToyProgram(), tensors);
  ASSERT_TRUE(executor.ok()) << executor.status();
  auto out = (*executor)->Run("step", OneRow{0, 3}.batch());
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(Values(out->logits), ElementsAre(28, 100));
}

TEST_P(ExecutorTest, ProgressEndsAtTheTotal) {
  std::vector<uint64_t> done;
  uint64_t total = 0;
  auto executor = Create(ToyProgram(), ToyWeights(), [&](uint64_t d, uint64_t t) { done.push_back(d), total = t; });
  ASSERT_TRUE(executor.ok()) << executor.status();
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), total);
  EXPECT_EQ(total, (*executor)->weight_bytes());
}

TEST_P(ExecutorTest, WeightsAreConvertedToTheirFormat) {
  for (const DType format : {DType::kBF16, DType::kInt8, DType::kInt4}) {
    Program program = ToyProgram();
    program.weights[1].format = program.weights[2].format = format;
    std::vector<uint64_t> done;
    uint64_t total = 0;
    auto executor = Create(program, ToyWeights(), [&](uint64_t d, uint64_t t) { done.push_back(d), total = t; });
    ASSERT_TRUE(executor.ok()) << executor.status();
    EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
    EXPECT_EQ(done.back(), total);
    EXPECT_EQ(total, 4u * 4 + 2 * 4 * 4 + 3 * (4 + 4));  // read
    const uint64_t row = format == DType::kBF16 ? 4 : format == DType::kInt8 ? 132 : 72;
    EXPECT_EQ((*executor)->weight_bytes(), 4 * 4 + 2 * 2 * row + 3 * 2 * row);
    auto out = (*executor)->Run("step", OneRow{0, 3}.batch());
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_THAT(Values(out->logits), ElementsAre(FloatNear(28, 1e-3), FloatNear(100, 1e-3)));
    const float hidden[] = {1, 10};
    const int32_t zero = 0;
    out = (*executor)->Run("draft", {{&zero, 1}, {&zero, 1}, {&zero, 1}, {&zero, 1}, 1, {&zero, 1}, hidden});
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_THAT(Values(out->logits), ElementsAre(FloatNear(3, 1e-3), FloatNear(45, 1e-3)));
  }
}

// More rows than are converted at once, by more threads than there may be rows left for.
TEST_P(ExecutorTest, LongWeightsAreConvertedInPieces) {
  constexpr int64_t kRows = 200'003;
  Program program = ToyProgram();
  program.weights[0].shape = {kRows, 2};
  program.weights[0].format = DType::kInt8;
  program.parameters["vocab_size"] = kRows;
  for (Entry& entry : program.entries) entry.outputs.erase("logits");  // two wide, as the tables are
  std::vector<float> table(2 * kRows);
  for (int64_t i = 0; i < kRows; ++i) table[2 * i] = static_cast<float>(i), table[2 * i + 1] = 1;
  std::vector<TestTensor> tensors = ToyWeights();
  Named(tensors, "embed") = MakeTensor<float>("embed", "F32", {kRows, 2}, table);
  auto executor = Create(program, tensors);
  ASSERT_TRUE(executor.ok()) << executor.status();
  for (const int32_t id : {0, 1, 31774, 31775, 63549, 99'999, static_cast<int32_t>(kRows) - 1}) {
    auto out = (*executor)->Run("step", OneRow{id, 3}.batch());
    ASSERT_TRUE(out.ok()) << out.status();
    // (id, 1) → l0 (1, id) → *c (2, 10 id) → l1 (2 + 10 id, 10 id) → *c.
    EXPECT_NEAR(out->hidden[0], 2 * (2 + 10.0 * id), 1e-5 * id + (id > 0 ? 10.0 * id / 127 : 0.01)) << id;
    EXPECT_NEAR(out->hidden[1], 100.0 * id, 1e-5 * id * 100 + 0.01) << id;
  }
}

TEST_P(ExecutorTest, AValueThatIsNotFiniteIsNotConverted) {
  Program program = ToyProgram();
  program.weights[1].format = DType::kInt4;
  std::vector<TestTensor> tensors = ToyWeights();
  Named(tensors, "l1.w") = MakeTensor<float>("l1.w", "F32", {2, 2}, {1, 1, std::numeric_limits<float>::infinity(), 1});
  const absl::Status status = Create(program, tensors).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("'l1.w'"), HasSubstr("not finite")));
}

TEST_P(ExecutorTest, EqualShapesReplayAndKernelsAreResolvedOnce) {
  const ToyCounts before = Counts();
  auto executor = Make();
  EXPECT_EQ(Counts().kernels - before.kernels, 6);
  for (int32_t pos : {0, 1, 2, 3}) ASSERT_TRUE(executor->Run("step", OneRow{0, pos}.batch()).ok());
  EXPECT_EQ(Counts().replayed - before.replayed, 3);
  // The plugin refuses a key that comes back with other commands.
  ASSERT_TRUE(executor->Run("step", OneRow{0, 64}.batch()).ok());
  const float hidden[] = {1, 10};
  const int32_t zero = 0;
  ASSERT_TRUE(executor->Run("draft", {{&zero, 1}, {&zero, 1}, {&zero, 1}, {&zero, 1}, 1, {}, hidden}).ok());
  ASSERT_TRUE(executor->Run("step", OneRow{0, 4}.batch()).ok());
}

TEST_P(ExecutorTest, TapsShowValuesAndMayChangeThem) {
  auto executor = Make();
  std::vector<std::string> seen;
  const auto look = [&](TapValue& value) {
    float values[2];
    EXPECT_EQ(value.bytes.size(), sizeof values);
    std::memcpy(values, value.bytes.data(), sizeof values);
    seen.push_back(std::string(value.name) + "." + std::to_string(value.layer) + " " + std::to_string(int(values[0])) + " " +
                   std::to_string(int(values[1])));
    EXPECT_EQ(value.shape, (std::vector<int64_t>{1, 2}));
    return false;
  };
  auto out = executor->RunWithTaps("step", OneRow{0, 0}.batch(), look);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(seen, ElementsAre("hidden.0 4 10", "hidden.1 28 100"));
  EXPECT_THAT(Values(out->logits), ElementsAre(28, 100));

  const auto change = [&](TapValue& value) {
    const float values[2] = {1, 0};
    std::memcpy(value.bytes.data(), values, sizeof values);
    return value.layer == 0;
  };
  out = executor->RunWithTaps("step", OneRow{0, 0}.batch(), change);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(Values(out->logits), ElementsAre(2, 0));  // (1,0) → l1 (1,0) → *c
}

TEST_P(ExecutorTest, ABadBatchLeavesTheExecutorUsable) {
  auto executor = Make();
  EXPECT_EQ(executor->Run("step", OneRow{9, 0}.batch()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(executor->Run("nothing", OneRow{0, 0}.batch()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(executor->Run("draft", OneRow{0, 0}.batch()).status().message()), HasSubstr("hidden values"));
  auto out = executor->Run("step", OneRow{0, 0}.batch());
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(Values(out->logits), ElementsAre(28, 100));
}

struct BadWeight {
  const char* name;
  std::function<void(std::vector<TestTensor>&)> change;
  std::vector<const char*> messages;
};
const BadWeight kBadWeights[] = {
    {"Missing", [](auto& t) { Named(t, "l1.e1").name = "l1.e7"; }, {"'l1.e1'", "nearest name"}},
    {"MissingScale", [](auto& t) { Named(t, "l1.e1.scale").name = "x"; }, {"'l1.e1.scale'"}},
    {"Dtype",
     [](auto& t) { Named(t, "l0.w") = MakeTensor<uint16_t>("l0.w", "BF16", {2, 2}, {0, 0, 0, 0}); },
     {"'l0.w' is bf16[2, 2]", "wants f32[2, 2]"}},
    {"Shape",
     [](auto& t) { Named(t, "l1.w") = MakeTensor<float>("l1.w", "F32", {4}, {0, 0, 0, 0}); },
     {"'l1.w' is f32[4]", "wants f32[2, 2]"}},
    {"ScaleNaN",
     [](auto& t) { Named(t, "l1.e2.scale") = MakeTensor<float>("l1.e2.scale", "F32", {1, 1}, {NAN}); },
     {"'l1.e2.scale' holds the scale nan at element 0", "finite and positive"}},
    {"ScaleInfinite",
     [](auto& t) {
       Named(t, "l1.e0.scale") = MakeTensor<float>("l1.e0.scale", "F32", {1, 1}, {std::numeric_limits<float>::infinity()});
     },
     {"the scale inf"}},
    {"ValueNaN",
     [](auto& t) { Named(t, "l1.e1") = MakeTensor<uint8_t>("l1.e1", "F8_E4M3", {2, 2}, {kOne, 0, 0x7e, 0x7f}); },
     {"'l1.e1' holds NaN at element 3"}},
    {"ValueNegativeNaN",
     [](auto& t) { Named(t, "l1.e2") = MakeTensor<uint8_t>("l1.e2", "F8_E4M3", {2, 2}, {0xfe, 0xff, 0xff, 0}); },
     {"'l1.e2' holds NaN at element 1"}},
    {"ScaleZero", [](auto& t) { Named(t, "l1.e0.scale") = MakeTensor<float>("l1.e0.scale", "F32", {1, 1}, {0}); }, {"the scale 0"}},
    {"ScaleNegative", [](auto& t) { Named(t, "l1.e0.scale") = MakeTensor<float>("l1.e0.scale", "F32", {1, 1}, {-1}); }, {"the scale -1"}},
    {"ScaleShape",
     [](auto& t) { Named(t, "l1.e0.scale") = MakeTensor<float>("l1.e0.scale", "F32", {2, 1}, {1, 1}); },
     {"'l1.e0.scale' is f32[2, 1]", "wants f32[1, 1]"}},
};

TEST_P(ExecutorTest, BadWeightsAreNamedAndNothingLeaks) {
  for (const BadWeight& bad : kBadWeights) {
    SCOPED_TRACE(bad.name);
    const int before = Counts().live;
    std::vector<TestTensor> tensors = ToyWeights();
    bad.change(tensors);
    const absl::Status status = Create(ToyProgram(), tensors).status();
    ASSERT_FALSE(status.ok());
    for (const char* message : bad.messages) EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(Counts().live, before);
  }
}

TEST_P(ExecutorTest, ProgramsThatDoNotFitTheDevice) {
  const int before = Counts().live;
  Program other = ToyProgram();
  other.backend = "cuda";
  EXPECT_THAT(std::string(Create(other, ToyWeights()).status().message()),
              AllOf(HasSubstr("compiled for backend 'cuda'"), HasSubstr("'toy'")));
  Program missing = ToyProgram();
  missing.entries[0].body[1].launches[0].kernel = "warp_drive";
  EXPECT_THAT(std::string(Create(missing, ToyWeights()).status().message()),
              AllOf(HasSubstr("toy.mlir:7:3: linear of layer 0"), HasSubstr("no kernel 'warp_drive'")));
  for (const char* parameter : {"vocab_size", "hidden_size"}) {
    Program wide = ToyProgram();
    wide.parameters[parameter] = 1 << 20;
    EXPECT_THAT(std::string(Create(wide, ToyWeights()).status().message()), HasSubstr("is not f32 ["));
  }
  const absl::Status full = Create(ToyProgram(), ToyWeights(), nullptr, 1 << 20).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("cache of 1048576 pages"));
  EXPECT_EQ(Create(ToyProgram(), ToyWeights(), nullptr, 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Counts().live, before);
}

}  // namespace
}  // namespace modelc
