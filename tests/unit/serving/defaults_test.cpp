#include "core/serving/defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/temp_dir.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class DefaultsTest : public testing::Test {
 protected:
  std::string Write(const char* name, const char* text) { return temp_.Write(name, text).string(); }
  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(DefaultsTest, NoFilesAreNeutral) {
  const auto defaults = LoadServingDefaults(dir_, {});
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->sampling.temperature, 1.0);
  EXPECT_TRUE(defaults->thinking);
  EXPECT_FALSE(defaults->bos_id);
}

TEST_F(DefaultsTest, GreedyWithoutDoSample) {
  Write("generation_config.json", R"({"do_sample": false, "temperature": 0.6, "eos_token_id": [1, 5]})");
  const auto defaults = LoadServingDefaults(dir_, {});
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->sampling.temperature, 0);
  EXPECT_THAT(defaults->stop_ids, ElementsAre(1, 5));
}

TEST_F(DefaultsTest, PresetsOverride) {
  Write("generation_config.json", R"({"do_sample": true, "temperature": 0.6, "top_p": 0.95})");
  Write("config.json", R"({"bos_token_id": 0, "eos_token_id": 1})");
  Write("tokenizer_config.json", R"({"add_bos_token": true})");
  const std::string preset = Write("p.json", R"({"index_topk": 9, "serving": {"temperature": 1.0, "thinking": false,
                                                 "tools": false, "max_output_tokens": 99}})");
  const auto defaults = LoadServingDefaults(dir_, {preset});
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->sampling.temperature, 1.0);
  EXPECT_EQ(defaults->sampling.top_p, 0.95);
  EXPECT_FALSE(defaults->thinking);
  EXPECT_FALSE(defaults->tools);
  EXPECT_EQ(defaults->max_output_tokens, 99);
  EXPECT_THAT(defaults->stop_ids, ElementsAre(1));
  EXPECT_EQ(defaults->bos_id, 0);
}

TEST_F(DefaultsTest, ErrorsNameFileAndKey) {
  Write("generation_config.json", R"({"eos_token_id": "one"})");
  const std::string message(LoadServingDefaults(dir_, {}).status().message());
  EXPECT_THAT(message, HasSubstr("generation_config.json"));
  EXPECT_THAT(message, HasSubstr("eos_token_id"));
  Write("generation_config.json", "{");
  EXPECT_FALSE(LoadServingDefaults(dir_, {}).ok());
}

TEST_F(DefaultsTest, ThePresetsOfTheRepositoryLoad) {
  const auto nano = LoadServingDefaults("models/nano/checkpoint", {});
  ASSERT_TRUE(nano.ok()) << nano.status();
  EXPECT_EQ(nano->sampling.temperature, 0);
  EXPECT_THAT(nano->stop_ids, ElementsAre(1));
  EXPECT_FALSE(nano->bos_id);
}

}  // namespace
}  // namespace modelc
