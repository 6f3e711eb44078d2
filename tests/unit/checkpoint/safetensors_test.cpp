// Every way a header may lie is an error that says how.
#include "core/checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include "tests/unit/checkpoint/safetensors_file.h"

namespace modelc {
namespace {

using ::testing::HasSubstr;
using testing::RawSafetensors;

absl::StatusOr<std::vector<SafetensorsEntry>> Read(const std::string& file) {
  return ReadSafetensorsHeader({reinterpret_cast<const std::byte*>(file.data()), file.size()});
}

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape, uint64_t begin, uint64_t end) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(SafetensorsTest, EntriesComeInFileOrderWithOffsetsFromTheFilesStart) {
  const std::string header = "{" + Entry("a", "F32", "[2,1]", 4, 12) + "," + Entry("b", "BF16", "[2]", 0, 4) +
                             R"(,"__metadata__":{"format":"pt"}})";
  auto entries = Read(RawSafetensors(header, std::string(12, 'x')));
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].name, "b");
  EXPECT_EQ((*entries)[0].dtype, DType::kBF16);
  EXPECT_EQ((*entries)[0].offset, 8 + header.size());
  EXPECT_EQ((*entries)[1].name, "a");
  EXPECT_EQ((*entries)[1].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ((*entries)[1].bytes, 8u);
  EXPECT_EQ((*entries)[1].offset, 8 + header.size() + 4);
}

TEST(SafetensorsTest, Int64HasNoProgramDtype) {
  auto entries = Read(RawSafetensors("{" + Entry("ids", "I64", "[1]", 0, 8) + "}", std::string(8, 0)));
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ((*entries)[0].dtype, std::nullopt);
}

TEST(SafetensorsTest, ScalarsAndEmptyTensorsAreTensors) {
  auto entries = Read(RawSafetensors("{" + Entry("e", "F32", "[0,3]", 0, 0) + "," + Entry("s", "U8", "[]", 0, 1) + "}", "x"));
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ((*entries)[0].bytes, 0u);
  EXPECT_EQ((*entries)[1].bytes, 1u);
}

struct Lie {
  const char* name;
  std::string file;
  const char* message;
};

class SafetensorsLie : public ::testing::TestWithParam<Lie> {};

TEST_P(SafetensorsLie, IsAnError) {
  auto entries = Read(GetParam().file);
  ASSERT_FALSE(entries.ok());
  EXPECT_EQ(entries.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(entries.status().message()), HasSubstr(GetParam().message));
}

std::string One(const std::string& entry, size_t data_bytes) {
  return RawSafetensors("{" + entry + "}", std::string(data_bytes, 0));
}

INSTANTIATE_TEST_SUITE_P(
    All, SafetensorsLie,
    ::testing::Values(
        Lie{"Empty", "", "too few"}, Lie{"ShorterThanTheLength", std::string(7, 0), "too few"},
        Lie{"LengthBeyondTheFile", RawSafetensors("{}", "", 3), "claims a header of 3 bytes"},
        Lie{"LengthNearOverflow", RawSafetensors("{}", "", -2 & INT64_MAX), "claims a header"},
        Lie{"LengthShort", RawSafetensors(Entry("a", "U8", "[1]", 0, 1), "x", 5), "not a JSON object"},
        Lie{"NotJson", RawSafetensors("hello", ""), "not a JSON object"},
        Lie{"NotAnObject", RawSafetensors("[1]", ""), "not a JSON object"},
        Lie{"InvalidUtf8", RawSafetensors("{\"\xff\":1}", ""), "not a JSON object"},
        Lie{"DeeplyNested", RawSafetensors(std::string(100000, '['), ""), "not a JSON object"},
        Lie{"TensorIsNoObject", RawSafetensors(R"({"a":3})", ""), "has no dtype"},
        Lie{"UnknownDtype", One(Entry("a", "F7", "[1]", 0, 4), 4), "dtype 'F7' is none of F32, BF16"},
        Lie{"NoShape", RawSafetensors(R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", ""), "has no shape"},
        Lie{"NegativeDimension", One(Entry("a", "F32", "[-1]", 0, 4), 4), "no dimension"},
        Lie{"FractionalDimension", One(Entry("a", "F32", "[1.5]", 0, 4), 4), "no dimension"},
        Lie{"NestedDimension", One(Entry("a", "F32", "[" + std::string(200000, '[') + std::string(200000, ']') + "]", 0, 4), 4),
            "shape holds array, which is no dimension"},
        Lie{"OverflowingShape", One(Entry("a", "F32", "[281474976710656,281474976710656]", 0, 4), 4), "overflows"},
        Lie{"NoOffsets", RawSafetensors(R"({"a":{"dtype":"U8","shape":[0]}})", ""), "data_offsets are not two numbers"},
        Lie{"NegativeOffset", RawSafetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", ""),
            "data_offsets are not two numbers"},
        Lie{"OffsetsBackwards", One(Entry("a", "U8", "[1]", 1, 0), 1), "leave the file"},
        Lie{"Truncated", One(Entry("a", "F32", "[2]", 0, 8), 7), "is it truncated?"},
        Lie{"SizeIsNotTheShapes", One(Entry("a", "F32", "[3]", 0, 8), 8), "has 8 bytes, but F32[3] takes 12"},
        Lie{"Overlap", One(Entry("a", "U8", "[4]", 0, 4) + "," + Entry("b", "U8", "[4]", 3, 7), 7), "overlaps tensor 'a'"},
        Lie{"SameBytesTwice", One(Entry("a", "U8", "[4]", 0, 4) + "," + Entry("b", "U8", "[4]", 0, 4), 4), "overlaps"},
        Lie{"Hole", One(Entry("a", "U8", "[1]", 0, 1) + "," + Entry("b", "U8", "[1]", 2, 3), 3), "leaves 1 bytes unused"},
        Lie{"BytesLeftOver", One(Entry("a", "U8", "[1]", 0, 1), 5), "4 bytes after the last tensor"},
        Lie{"DuplicateName", One(Entry("a", "U8", "[1]", 0, 1) + "," + Entry("a", "U8", "[1]", 0, 1), 1), "twice"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace modelc
