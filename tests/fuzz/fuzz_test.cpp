// Runs every fuzz target on well-formed seeds and on seeded mutations of them, so that each build of the tests fuzzes
// a little; under the sanitizers a bad read is a failure.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "core/program/program.h"
#include "core/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text_seeds.h"
#include "tests/unit/checkpoint/safetensors_file.h"
#include "tests/unit/program/toy_program.h"

namespace modelc {
namespace {

// One to four edits: a byte changed, bytes removed, a piece doubled, or a digit made another digit.
std::string Mutate(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (size_t edits = 1 + below(4); edits > 0 && !bytes.empty(); --edits) {
    const size_t at = below(bytes.size());
    const size_t length = std::min(bytes.size() - at, 1 + below(32));
    switch (below(4)) {
      case 0: bytes[at] = static_cast<char>(below(256)); break;
      case 1: bytes.erase(at, length); break;
      case 2: bytes.insert(at, bytes.substr(at, length)); break;
      case 3:
        if (const size_t digit = bytes.find_first_of("0123456789", at); digit != bytes.npos) {
          bytes[digit] = static_cast<char>('0' + below(10));
        }
        break;
    }
  }
  return bytes;
}

void Fuzz(fuzz::Target target, const std::vector<std::string>& seeds, int mutations) {
  std::mt19937 random(20250929);
  for (const std::string& seed : seeds) {
    target(reinterpret_cast<const uint8_t*>(seed.data()), seed.size());
    for (size_t cut = 0; cut < std::min<size_t>(seed.size(), 64); ++cut) {
      target(reinterpret_cast<const uint8_t*>(seed.data()), cut);
    }
    for (int i = 0; i < mutations; ++i) {
      const std::string bytes = Mutate(seed, random);
      target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    }
  }
}

TEST(FuzzTest, Safetensors) {
  using testing::MakeTensor;
  Fuzz(fuzz::Safetensors,
       {testing::Safetensors({}), testing::Safetensors({MakeTensor<float>("a", "F32", {2, 2}, {1, 2, 3, 4}),
                                                        MakeTensor<uint8_t>("b", "F8_E4M3", {3}, {1, 2, 3})}),
        testing::RawSafetensors(R"({"__metadata__":{"format":"pt"},"x":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})", "xx")},
       3000);
}

TEST(FuzzTest, ProgramFile) { Fuzz(fuzz::ProgramFile, {Serialize(testing::FullProgram()), Serialize(Program{})}, 1500); }

TEST(FuzzTest, TokenizerJson) {
  const std::string seed = fuzz::SmallTokenizerJson();
  ASSERT_TRUE(Tokenizer::FromJson(seed).ok()) << Tokenizer::FromJson(seed).status();
  Fuzz(fuzz::TokenizerJson, {seed}, 1500);
}

TEST(FuzzTest, TokenizerText) {
  Fuzz(fuzz::TokenizerText, fuzz::Fields("tests/fixtures/deepseek-v3-tokenizer/goldens.jsonl", "text"), 30);
}

TEST(FuzzTest, ChatMessages) {
  Fuzz(fuzz::ChatMessages, fuzz::Fields("tests/fixtures/deepseek-v3.2/encoding/cases.jsonl", "messages"), 60);
}

TEST(FuzzTest, ChatCompletion) {
  Fuzz(fuzz::ChatCompletion, fuzz::Fields("tests/fixtures/deepseek-v3.2/encoding/cases.jsonl", "completion"), 200);
}

}  // namespace
}  // namespace modelc
