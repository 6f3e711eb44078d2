#include "core/program/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "tests/unit/program/toy_program.h"

namespace modelc {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::FullProgram;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(ProgramTest, SizesHaveTheLettersOfOpsMd) {
  std::string letters;
  for (int i = 0; i < kNumSizes; ++i) letters += Name(static_cast<Size>(i));
  EXPECT_EQ(letters, "TNSPCM");
}

TEST(ProgramTest, ParametersAndEntriesByName) {
  const Program program = FullProgram();
  EXPECT_EQ(*program.Parameter("hidden_size"), 8);
  const absl::Status missing = program.Parameter("hidden").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(missing), HasSubstr("eps, hidden_size"));
  EXPECT_EQ(program.Parameter("eps").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(program.FindEntry("draft"), &program.entries[1]);
  EXPECT_EQ(program.FindEntry("no"), nullptr);
}

TEST(ProgramTest, RoundTripKeepsEverything) {
  const Program program = FullProgram();
  const std::string text = Serialize(program);
  EXPECT_EQ(text, Serialize(program));
  auto parsed = ParseProgram(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(Serialize(*parsed), text);
  EXPECT_EQ(parsed->limits, program.limits);
  EXPECT_EQ(parsed->constants[0].values, program.constants[0].values);
  EXPECT_EQ(parsed->parameters, program.parameters);
  EXPECT_EQ(parsed->buffers[2].shape.dims[0].size, Size::kM);
  const Launch& select = parsed->entries[0].body[1].launches[1];
  EXPECT_EQ(select.condition.when, Condition::When::kContextAbove);
  EXPECT_EQ(select.condition.context, 64);
  EXPECT_EQ(select.operands[1].kind, Operand::Kind::kInput);
  EXPECT_EQ(select.operands[1].index, static_cast<uint32_t>(Input::kPos));
  EXPECT_EQ(select.operands[2].kind, Operand::Kind::kNone);
  EXPECT_EQ(select.code, 0u);
  EXPECT_EQ(parsed->entries[0].body[1].launches[0].code, std::nullopt);
  EXPECT_EQ(parsed->code[0].image, program.code[0].image);
  EXPECT_EQ(parsed->entries[0].body[1].launches[0].taps[0].operand, 2u);
  EXPECT_EQ(parsed->entries[0].body[0].launches[0].location, "toy.mlir:3:5");
  EXPECT_EQ(parsed->weights[2].experts, 4);
  EXPECT_EQ(parsed->weights[2].format, DType::kInt4);
  EXPECT_EQ(parsed->weights[2].bound(), DType::kInt4);
  EXPECT_EQ(parsed->weights[1].bound(), DType::kF8E4M3);
  EXPECT_EQ(parsed->weights_folder, "/models/toy");
}

TEST(ProgramTest, WhatIsNoProgramFile) {
  for (const char* text : {"", "{", "[]", "{}", "null", "\xff"}) {
    EXPECT_THAT(Message(ParseProgram(text).status()), HasSubstr("not a program file")) << text;
  }
  json other = json::parse(Serialize(FullProgram()));
  other["modelc_program"] = 99;
  EXPECT_THAT(Message(ParseProgram(other.dump()).status()), HasSubstr("format version 99"));
  const std::string nested = "{\"modelc_program\":" + std::string(200000, '[') + std::string(200000, ']') + "}";
  EXPECT_THAT(Message(ParseProgram(nested).status()), HasSubstr("format version unknown"));
}

// One value of a good file replaced by a bad one.
struct Damage {
  const char* name;
  const char* pointer;
  json value;
  const char* message;
};
class ProgramDamage : public ::testing::TestWithParam<Damage> {};

TEST_P(ProgramDamage, IsAnError) {
  json document = json::parse(Serialize(FullProgram()));
  document[json::json_pointer(GetParam().pointer)] = GetParam().value;
  auto parsed = ParseProgram(document.dump());
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(Message(parsed.status()), AllOf(HasSubstr("damaged program file"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All, ProgramDamage,
    ::testing::Values(
        Damage{"ModelIsANumber", "/model", 1, "wants a string"},
        Damage{"ArenaNegative", "/arena_bytes", -1, "arena_bytes wants a whole number"},
        Damage{"ArenaSmallerThanBuffers", "/arena_bytes", 100, "buffers[0] ends outside the arena"},
        Damage{"LimitMissing", "/limits", json::object(), "has no 'T'"},
        Damage{"LimitHuge", "/limits/T", UINT64_MAX, "T wants a whole number"},
        Damage{"ParameterIsText", "/parameters/eps", "x", "eps wants a number"},
        Damage{"BuffersAreNoList", "/buffers", 3, "wants an array as 'buffers'"},
        Damage{"BufferUnaligned", "/buffers/1/offset", 8, "no multiple of 64"},
        Damage{"BufferTooSmall", "/buffers/0/bytes", 64, "smaller than its shape"},
        Damage{"BufferDtype", "/buffers/0/shape/dtype", "f64", "wants a dtype"},
        Damage{"BufferRank", "/buffers/0/shape/dims", json::array({1, 1, 1, 1, 1}), "more than 4"},
        Damage{"BufferUnknownSize", "/buffers/0/shape/dims/0/1", "Q", "unknown word"},
        Damage{"BufferShapeOverflows", "/buffers/0/shape/dims", json::array({2147483648, 2147483648, 2147483648}),
               "smaller than its shape"},
        Damage{"WeightExpertsWithoutName", "/weights/0/experts", 3, "{expert}"},
        Damage{"WeightExpertsAndShapeDiffer", "/weights/2/experts", 3, "experts as its first dimension"},
        Damage{"WeightZeroDimension", "/weights/0/shape/0", 0, "whole number from 1"},
        Damage{"WeightTooLarge", "/weights/0/shape", json::array({2147483648, 2147483648}), "too large"},
        Damage{"WeightFormatOfNoWeight", "/weights/2/format", "i32", "none of bf16, int8, int4"},
        Damage{"WeightFormatUnknown", "/weights/2/format", "int2", "wants a dtype"},
        Damage{"WeightFormatOfVector", "/weights/2/shape", json::array({4}), "is no matrix, nor one for each expert"},
        Damage{"WeightStoredInGroups", "/weights/0/dtype", "int8", "no checkpoint has"},
        Damage{"WeightScalar", "/weights/0/shape", json::array(), "1 to 4 dimensions"},
        Damage{"WeightScaleOfVector", "/weights/1/shape", json::array({8}), "fewer than 2 dimensions"},
        Damage{"ConstantEmpty", "/constants/0/values", json::array(), "has no values"},
        Damage{"CacheKind", "/caches/0/kind", "other", "unknown word"},
        Damage{"CacheLayers", "/caches/0/layers", 0, "whole number"},
        Damage{"OperandBuffer", "/entries/0/body/0/launches/0/operands/2/1", 3, "whole number from 0 to 2"},
        Damage{"OperandWeight", "/entries/0/body/0/launches/0/operands/1/1", 99, "part 0 launch 0 wants a whole number"},
        Damage{"OperandKind", "/entries/0/body/0/launches/0/operands/1/0", "register", "unknown word"},
        Damage{"OperandInput", "/entries/0/body/0/launches/0/operands/0/1", "noise", "unknown word"},
        Damage{"OperandNoIndex", "/entries/0/body/0/launches/0/operands/1", json::array({"weight"}), "without an index"},
        Damage{"OperandNumber", "/entries/0/body/0/launches/0/operands/1", 4, "no [kind, index]"},
        Damage{"CacheLayerOutside", "/entries/0/body/1/count", 4, "a layer its cache does not have"},
        Damage{"RepeatHuge", "/entries/0/body/1/count", 1 << 20, "whole number"},
        Damage{"TapOutside", "/entries/0/body/1/launches/0/taps/0/operand", 3, "tap on what is no buffer"},
        Damage{"TapOnWeight", "/entries/0/body/1/launches/0/taps/0/operand", 1, "tap on what is no buffer"},
        Damage{"CodeOutside", "/entries/0/body/1/launches/1/code", 1, "whole number from 0 to 0"},
        Damage{"CodeIsNone", "/code", json::array(), "runs code that the file does not hold"},
        Damage{"CodeChanged", "/code/0/image", "McAA/g==", "the code is damaged"},
        Damage{"CodeDescriptionChanged", "/code/0/description", "{\"entry\":1}", "the code is damaged"},
        Damage{"CodeNoBase64", "/code/0/image", "**", "no base64"},
        Damage{"ConditionWhen", "/entries/0/body/1/launches/1/condition/when", "maybe", "unknown word"},
        Damage{"OutputOutside", "/entries/0/outputs/logits", 9, "whole number"},
        Damage{"OutputsAreAList", "/entries/0/outputs", json::array(), "wants an object"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace modelc
