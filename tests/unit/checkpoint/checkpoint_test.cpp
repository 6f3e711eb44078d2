#include "core/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>

#include "tests/unit/checkpoint/safetensors_file.h"

namespace modelc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeTensor;
using testing::Safetensors;

constexpr char kIndex[] = "model.safetensors.index.json";

std::string Message(const absl::Status& status) { return std::string(status.message()); }

std::string OneFloat(const std::string& name, float value) {
  return Safetensors({MakeTensor<float>(name, "F32", {1}, {value})});
}

TEST(CheckpointTest, ReadsEveryDtype) {
  TempDir dir;
  dir.Write("model.safetensors", Safetensors({MakeTensor<float>("f32", "F32", {2}, {1.5f, -2.f}),
                                              MakeTensor<uint16_t>("bf16", "BF16", {2}, {0x3f80, 0xc020}),
                                              MakeTensor<uint8_t>("f8", "F8_E4M3", {5}, {0x38, 0xb8, 0x7e, 0x01, 0x7f}),
                                              MakeTensor<int32_t>("i32", "I32", {2}, {-1, 7}),
                                              MakeTensor<int64_t>("i64", "I64", {1}, {int64_t{1} << 40})}));
  auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(*(*checkpoint)->ReadFloats("f32"), ElementsAre(1.5f, -2.f));
  EXPECT_THAT(*(*checkpoint)->ReadFloats("bf16"), ElementsAre(1.f, -2.5f));
  const std::vector<float> f8 = *(*checkpoint)->ReadFloats("f8");
  EXPECT_THAT(std::vector<float>(f8.begin(), f8.begin() + 4), ElementsAre(1.f, -1.f, 448.f, std::ldexp(1.f, -9)));
  EXPECT_TRUE(std::isnan(f8[4]));
  EXPECT_THAT(*(*checkpoint)->ReadInts("i32"), ElementsAre(-1, 7));
  EXPECT_THAT(*(*checkpoint)->ReadInts("i64"), ElementsAre(int64_t{1} << 40));
  EXPECT_EQ((*checkpoint)->index().count("i64"), 0u);
  EXPECT_EQ((*checkpoint)->Find("i64").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*checkpoint)->ReadInts("f32").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*checkpoint)->ReadFloats("i32").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*checkpoint)->total_bytes(), 8u + 4 + 5 + 8 + 8);
}

TEST(CheckpointTest, MissingTensorNamesTheNearest) {
  TempDir dir;
  dir.Write("a.safetensors", Safetensors({MakeTensor<float>("layers.0.q_a_proj.weight", "F32", {1}, {0.f}),
                                          MakeTensor<float>("layers.0.o_proj.weight", "F32", {1}, {0.f})}));
  auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const absl::Status status = (*checkpoint)->Find("layers.0.q_proj.weight").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(status), AllOf(HasSubstr("'layers.0.q_proj.weight'"), HasSubstr("'layers.0.q_a_proj.weight'")));
  EXPECT_EQ((*checkpoint)->ReadInts("nothing").status().code(), absl::StatusCode::kNotFound);
}

TEST(CheckpointTest, ShardsWithAndWithoutAnIndex) {
  TempDir dir;
  dir.Write("model-1.safetensors", OneFloat("a", 1));
  dir.Write("model-2.safetensors", OneFloat("b", 2));
  for (bool indexed : {false, true}) {
    if (indexed) dir.Write(kIndex, R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
    auto checkpoint = Checkpoint::Open(dir.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_THAT(*(*checkpoint)->ReadFloats("a"), ElementsAre(1.f));
    EXPECT_THAT(*(*checkpoint)->ReadFloats("b"), ElementsAre(2.f));
  }
}

TEST(CheckpointTest, ModelSafetensorsStandsForTheFolder) {
  TempDir dir;
  dir.Write("model.safetensors", OneFloat("a", 1));
  dir.Write("golden.safetensors", OneFloat("a", 2));
  auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(*(*checkpoint)->ReadFloats("a"), ElementsAre(1.f));
}

TEST(CheckpointTest, DroppedTensorsAreReadAgain) {
  TempDir dir;
  dir.Write("model.safetensors", Safetensors({MakeTensor<float>("a", "F32", {8192}, std::vector<float>(8192, 3.f))}));
  auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  (*checkpoint)->Prefetch();
  (*checkpoint)->Drop("a");
  EXPECT_EQ(*(*checkpoint)->ReadFloats("a"), std::vector<float>(8192, 3.f));
}

TEST(CheckpointTest, OpensTheNanoCheckpoint) {
  auto checkpoint = Checkpoint::Open("models/nano/checkpoint");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE((*checkpoint)->Find("model.embed_tokens.weight").ok());
}

TEST(CheckpointTest, FolderProblems) {
  TempDir dir;
  EXPECT_THAT(Message(Checkpoint::Open(dir.path() / "none").status()), HasSubstr("not a checkpoint folder"));
  EXPECT_THAT(Message(Checkpoint::Open(dir.path()).status()), HasSubstr("holds no .safetensors file"));
  EXPECT_EQ(Checkpoint::OpenFile(dir.path() / "none.safetensors").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(Checkpoint::OpenFile(dir.path()).status()), HasSubstr("not a regular file"));
}

TEST(CheckpointTest, ErrorsNameTheFile) {
  TempDir dir;
  dir.Write("broken.safetensors", "short");
  EXPECT_THAT(Message(Checkpoint::Open(dir.path()).status()), HasSubstr("broken.safetensors"));
}

TEST(CheckpointTest, OneNameInTwoShards) {
  TempDir dir;
  dir.Write("x.safetensors", OneFloat("a", 1));
  dir.Write("y.safetensors", OneFloat("a", 2));
  EXPECT_THAT(Message(Checkpoint::Open(dir.path()).status()),
              AllOf(HasSubstr("tensor 'a' is both"), HasSubstr("x.safetensors"), HasSubstr("y.safetensors")));
}

struct BadIndex {
  const char* name;
  const char* index;
  const char* message;
};
class CheckpointIndex : public ::testing::TestWithParam<BadIndex> {};

TEST_P(CheckpointIndex, IsAnError) {
  TempDir dir;
  dir.Write("x.safetensors", OneFloat("a", 1));
  dir.Write("y.safetensors", OneFloat("b", 1));
  dir.Write(kIndex, GetParam().index);
  const absl::Status status = Checkpoint::Open(dir.path()).status();
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(Message(status), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, CheckpointIndex,
    ::testing::Values(BadIndex{"NotJson", "{", "weight_map"}, BadIndex{"EmptyFile", "", "weight_map"},
                      BadIndex{"NoMap", "{}", "weight_map"}, BadIndex{"MapIsAList", R"({"weight_map":[]})", "weight_map"},
                      BadIndex{"EmptyMap", R"({"weight_map":{}})", "names no tensor"},
                      BadIndex{"ShardIsANumber", R"({"weight_map":{"a":1}})", "is no string"},
                      BadIndex{"MissingShard", R"({"weight_map":{"a":"z.safetensors"}})", "z.safetensors"},
                      BadIndex{"MissingTensor", R"({"weight_map":{"c":"x.safetensors"}})", "it is nowhere"},
                      BadIndex{"WrongShard", R"({"weight_map":{"a":"y.safetensors","b":"x.safetensors"}})",
                               "it is in 'x.safetensors'"},
                      BadIndex{"ParentFolder", R"({"weight_map":{"a":"../x.safetensors"}})", "not a file name in the same folder"},
                      BadIndex{"AbsolutePath", R"({"weight_map":{"a":"/etc/passwd"}})", "not a file name in the same folder"},
                      BadIndex{"DotDot", R"({"weight_map":{"a":".."}})", "not a file name in the same folder"},
                      BadIndex{"EmptyName", R"({"weight_map":{"a":""}})", "not a file name in the same folder"}),
    [](const auto& info) { return info.param.name; });

TEST(CheckpointDeathTest, AFileCutShortWhileMappedEndsTheProcessWithOneLine) {
  TempDir dir;
  const std::vector<float> values(1 << 16, 1.f);
  dir.Write("model.safetensors", Safetensors({MakeTensor<float>("w", "F32", {1 << 16}, values)}));
  const auto read_after_truncation = [&] {
    auto checkpoint = Checkpoint::Open(dir.path());
    auto gone = Checkpoint::Open(dir.path());
    gone->reset();  // what is no longer mapped is no longer reported
    std::filesystem::resize_file(dir.path() / "model.safetensors", 4096);
    (*checkpoint)->ReadFloats("w").IgnoreError();
  };
  EXPECT_EXIT(read_after_truncation(), ::testing::ExitedWithCode(2),
              "^modelc: '.*model.safetensors' cannot be read any more: it was cut short while in use.*\n$");
}

TEST(CheckpointDeathTest, OtherBusErrorsStayWhatTheyWere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process where no file was mapped before
  TempDir dir;
  dir.Write("model.safetensors", OneFloat("w", 1));
  const auto raise_elsewhere = [&] {
    signal(SIGBUS, [](int) { _exit(7); });
    auto checkpoint = Checkpoint::Open(dir.path());
    raise(SIGBUS);
  };
  EXPECT_EXIT(raise_elsewhere(), ::testing::ExitedWithCode(7), "^$");
}

}  // namespace
}  // namespace modelc
