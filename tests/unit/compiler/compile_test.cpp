// From model files, configs and checkpoints to programs, and every way a file may be wrong.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/checkpoint/checkpoint.h"
#include "core/compiler/compiler.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kModel[] = "models/v3.2.mlir";

std::string Read(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

CompileOptions Options(std::vector<std::string> configs = {}) {
  CompileOptions options;
  options.configs = std::move(configs);
  options.manifest = Read("tests/lit/Inputs/all-ops.json");
  return options;
}

// A fixture's config, weights and the options that name them.
struct Fixture {
  explicit Fixture(const std::string& dir) : checkpoint(*Checkpoint::Open(dir)), index(checkpoint->index()) {
    options = Options({Read(dir + "/config.json")});
    options.checkpoint = &index;
  }
  std::unique_ptr<Checkpoint> checkpoint;
  TensorIndex index;
  CompileOptions options;
};

std::string Failure(const absl::StatusOr<Program>& program) {
  EXPECT_FALSE(program.ok());
  return std::string(program.status().message());
}

const Repeat& BodyOf(const Program& program, std::string_view entry, size_t repeat) {
  const Entry* found = program.FindEntry(entry);
  EXPECT_NE(found, nullptr);
  return found->body.at(repeat);
}

TEST(Compile, ThePublishedModelNeedsNoCheckpoint) {
  for (auto configs : {std::vector<std::string>(), {Read("tests/fixtures/deepseek-v3.2/config.json")}}) {
    auto program = CompileModelFile(kModel, Options(configs));
    ASSERT_TRUE(program.ok()) << program.status();
    EXPECT_EQ(program->model, "deepseek_v3_2");
    EXPECT_EQ(*program->Parameter("hidden_size"), 7168);
    EXPECT_EQ(program->limits[static_cast<int>(Size::kC)], 163840);
    const Repeat& moe = BodyOf(*program, "step", 2);
    EXPECT_EQ(moe.first, 3);
    EXPECT_EQ(moe.count, 58);
    EXPECT_EQ(BodyOf(*program, "draft", 0).first, 61);
  }
}

TEST(Compile, EveryFixtureFitsInEveryNumerics) {
  for (const char* dir : {"tests/golden/tiny-fp8", "tests/golden/tiny-sparse", "tests/golden/tiny-dense-topk",
                          "models/nano/checkpoint"}) {
    Fixture fixture(dir);
    for (const char* numerics : {"reference", "deepseek", "fast"}) {
      fixture.options.numerics = numerics;
      auto program = CompileModelFile(kModel, fixture.options);
      ASSERT_TRUE(program.ok()) << dir << ": " << program.status();
      EXPECT_EQ(program->numerics, numerics);
      for (const Weight& weight : program->weights) {
        if (weight.name.find('{') == std::string::npos) {
          EXPECT_EQ(fixture.index.at(weight.name).shape, weight.shape) << weight.name;
        }
      }
    }
  }
}

// Two buffers that share memory are never both needed: checked by running the program on names, with every launch that
// writes a buffer forgetting what lay in the memory it takes.
TEST(Compile, NoLaunchReadsOverwrittenMemory) {
  Fixture fixture("tests/golden/tiny-sparse");
  for (const char* numerics : {"reference", "deepseek", "fast"}) {
    fixture.options.numerics = numerics;
    auto program = CompileModelFile(kModel, fixture.options);
    ASSERT_TRUE(program.ok()) << program.status();
    const int64_t topk = *program->Parameter("index_topk");
    for (const Entry& entry : program->entries) {
      for (int64_t context : {int64_t{1}, topk, topk + 1}) {
        std::vector<bool> valid(program->buffers.size());
        const auto write = [&](uint32_t written) {
          const Buffer& target = program->buffers[written];
          for (size_t i = 0; i < valid.size(); ++i) {
            const Buffer& other = program->buffers[i];
            if (target.offset < other.offset + other.bytes && other.offset < target.offset + target.bytes) valid[i] = false;
          }
          valid[written] = true;
        };
        for (const Repeat& repeat : entry.body) {
          for (int64_t layer = 0; layer < repeat.count; ++layer) {
            for (const Launch& launch : repeat.launches) {
              const Condition& when = launch.condition;
              if (when.when == Condition::When::kContextAbove && context <= when.context) continue;
              if (when.when == Condition::When::kContextAtMost && context > when.context) continue;
              // The outputs of an op are its last buffers; how many follows from what it is.
              size_t outputs = launch.op == "mla.append" || launch.op == "dsa.append" ? 0
                               : launch.op == "moe.dispatch"                         ? 3
                               : launch.op == "moe.route" || launch.op == "add_rms_norm" ? 2
                                                                                         : 1;
              std::vector<uint32_t> written;
              for (size_t i = 0; i < launch.operands.size(); ++i) {
                const Operand& operand = launch.operands[i];
                if (operand.kind != Operand::Kind::kBuffer) continue;
                if (i + outputs >= launch.operands.size()) {
                  written.push_back(operand.index);
                } else {
                  ASSERT_TRUE(valid[operand.index]) << entry.name << " " << launch.op << " at " << launch.location;
                }
              }
              for (uint32_t buffer : written) write(buffer);
              for (size_t i = 0; i < launch.operands.size(); ++i) {
                const Operand& operand = launch.operands[i];
                if (operand.kind != Operand::Kind::kBuffer) continue;
                const bool output = i + outputs >= launch.operands.size();
                ASSERT_TRUE(valid[operand.index]) << launch.op << (output ? " writes two results to one place"
                                                                          : " overwrites what it reads");
              }
            }
          }
        }
        for (const auto& [name, buffer] : entry.outputs) EXPECT_TRUE(valid[buffer]) << name;
      }
    }
    for (const Buffer& buffer : program->buffers) {
      EXPECT_EQ(buffer.offset % 64, 0u);
      EXPECT_LE(buffer.offset + buffer.bytes, program->arena_bytes);
    }
  }
}

TEST(Compile, TapsNameWhatGoldensHold) {
  Fixture fixture("tests/golden/tiny-sparse");
  fixture.options.numerics = "reference";
  auto program = CompileModelFile(kModel, fixture.options);
  ASSERT_TRUE(program.ok()) << program.status();
  std::map<std::string, std::string> ops;
  for (const Launch& launch : BodyOf(*program, "draft", 0).launches) {
    for (const TapPoint& tap : launch.taps) {
      ops[tap.name] = launch.op;
      EXPECT_EQ(launch.operands.at(tap.operand).kind, Operand::Kind::kBuffer);
    }
  }
  EXPECT_EQ(ops, (std::map<std::string, std::string>{{"hidden", "add"},
                                                     {"index_scores", "dsa.logits"},
                                                     {"topk_indices", "dsa.select"},
                                                     {"expert_weights", "moe.route"},
                                                     {"experts", "moe.route"}}));
}

TEST(Compile, LaunchesSayWhereInTheModelTheyComeFrom) {
  auto program = CompileModelFile(kModel, Options());
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_THAT(BodyOf(*program, "step", 0).launches.at(0).location, testing::MatchesRegex("models/v3.2.mlir:[0-9]+"));
}

TEST(Compile, AttributesAreWhatOpsMdSays) {
  auto program = CompileModelFile(kModel, Options());
  ASSERT_TRUE(program.ok()) << program.status();
  for (const Launch& launch : BodyOf(*program, "step", 2).launches) {
    auto json = nlohmann::json::parse(launch.attributes);
    if (launch.op == "moe.route") {
      EXPECT_EQ(json, nlohmann::json::parse(R"({"groups": 8, "topk_group": 4, "scale": 2.5, "normalize": true})"));
    } else if (launch.op == "rms_norm") {
      EXPECT_EQ(json, nlohmann::json::parse(R"({"eps": 1e-6, "first": 0})"));
    } else if (launch.op == "head_linear") {
      EXPECT_TRUE(json["transposed"].is_boolean());
    }
  }
}

TEST(Compile, TheHashIsOfEverythingThatMatters) {
  const auto hash = [](const CompileOptions& options) { return CompileModelFile(kModel, options)->hash; };
  CompileOptions options = Options();
  const std::string first = hash(options);
  EXPECT_EQ(first.size(), 32u);
  EXPECT_EQ(hash(options), first);
  CompileOptions other = options;
  other.numerics = "deepseek";
  EXPECT_NE(hash(other), first);
  other = options;
  other.max_rows = 7;
  EXPECT_NE(hash(other), first);
  other = options;
  other.configs = {Read("models/speciale.json")};
  EXPECT_NE(hash(other), first);
}

TEST(Compile, APresetDoesNotChangeTheModel) {
  auto plain = CompileModelFile(kModel, Options()), preset = CompileModelFile(kModel, Options({Read("models/speciale.json")}));
  ASSERT_TRUE(preset.ok()) << preset.status();
  preset->hash = plain->hash;
  EXPECT_EQ(Serialize(*plain), Serialize(*preset));
}

TEST(Compile, ProgramsSurviveTheirFile) {
  auto program = CompileModelFile(kModel, Options());
  ASSERT_TRUE(program.ok()) << program.status();
  auto again = ParseProgram(Serialize(*program));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Serialize(*again), Serialize(*program));
}

TEST(CompileErrors, AllWeightsThatDoNotFitAtOnce) {
  Fixture fixture("tests/golden/tiny-fp8");
  TensorIndex& index = fixture.index;
  auto moved = index.extract("model.layers.1.self_attn.q_a_proj.weight");
  moved.key() = "model.layers.1.self_attn.q_a_prj.weight";
  index.insert(std::move(moved));
  index.at("model.norm.weight").shape = {7};
  index.at("model.layers.0.input_layernorm.weight").dtype = DType::kI32;
  index.erase("model.layers.2.mlp.experts.3.up_proj.weight_scale_inv");
  index.at("model.layers.2.mlp.experts.4.up_proj.weight_scale_inv").shape = {9, 9};
  EXPECT_THAT(Failure(CompileModelFile(kModel, fixture.options)),
              AllOf(HasSubstr("weight 'model.layers.1.self_attn.q_a_proj.weight' is missing; nearest name: "
                              "'model.layers.1.self_attn.q_a_prj.weight'"),
                    HasSubstr("weight 'model.norm.weight' is [7], want ["),
                    HasSubstr("weight 'model.layers.0.input_layernorm.weight' is i32, want bf16 or f32"),
                    HasSubstr("experts.3.up_proj.weight_scale_inv' is missing"),
                    HasSubstr("experts.4.up_proj.weight_scale_inv' are f32 [9, 9], want f32 [")));
}

TEST(CompileErrors, DtypesMustAgreeBetweenLayers) {
  Fixture fixture("tests/golden/tiny-sparse");
  fixture.index.at("model.layers.2.self_attn.o_proj.weight").dtype = DType::kBF16;
  EXPECT_THAT(Failure(CompileModelFile(kModel, fixture.options)),
              HasSubstr("weight 'model.layers.2.self_attn.o_proj.weight' is bf16, other layers or experts have f32"));
}

TEST(CompileErrors, AnEmptyCheckpointListsManyAndCountsTheRest) {
  CompileOptions options = Options();
  TensorIndex nothing;
  options.checkpoint = &nothing;
  EXPECT_THAT(Failure(CompileModelFile(kModel, options)),
              AllOf(HasSubstr("weight 'model.embed_tokens.weight' is missing"), HasSubstr("more weights do not fit")));
}

// The published config with one key changed, or removed where the value is null.
std::string Changed(const std::string& key, const nlohmann::json& value) {
  auto config = nlohmann::json::parse(Read("tests/fixtures/deepseek-v3.2/config.json"));
  config.merge_patch({{key, value}});
  return config.dump();
}

TEST(CompileErrors, ConfigsOfOtherArchitectures) {
  for (auto [key, value, message] : std::initializer_list<std::tuple<std::string, nlohmann::json, std::string>>{
           {"model_type", "llama", "config has model_type = \"llama\", this model file describes \"deepseek_v32\""},
           {"hidden_act", "gelu", "config has hidden_act = \"gelu\""},
           {"scoring_func", "softmax", "config has scoring_func = \"softmax\""},
           {"attention_bias", true, "config has attention_bias = true"},
           {"rope_scaling", {{"type", "linear"}}, "config has rope_scaling.type = \"linear\""},
           {"quantization_config", {{"quant_method", "awq"}}, "config has quantization_config.quant_method = \"awq\""},
           {"quantization_config", {{"weight_block_size", {64, 64}}}, "weight_block_size = [64,64]"},
           {"hidden_size", nullptr, "config key 'hidden_size' is missing; add it to config.json"},
           {"hidden_size", "wide", "config key 'hidden_size' is \"wide\"; want a whole number"},
           {"hidden_size", 12.5, "config key 'hidden_size' is 12.5; want a whole number"},
           {"hidden_size", -1, "is -1; it must be between 0 and 2^31"},
           {"hidden_size", 1e300, "want a whole number"},
           {"hidden_size", 0, "sizes must be between 1 and 2^40"},
           {"n_group", 3, "(C1) 3 groups do not divide 256 experts"},
           {"topk_group", 9, "(C2) picks 9 of 8 groups"},
           {"index_topk", 0, "(C1) keeps 0 positions"},
           {"qk_rope_head_dim", 63, "(C2) dim is 63; it must be even and positive"},
           {"moe_intermediate_size", 0, "'inner' is 0; want at least 1"},
           {"first_k_dense_replace", 62, "(C3) runs from 62 to 61"},
           {"num_attention_heads", 0, "(C1) 'to' has a size of 0"},
       }) {
    const std::string failure = Failure(CompileModelFile(kModel, Options({Changed(key, value)})));
    EXPECT_THAT(failure, HasSubstr(message));
    EXPECT_THAT(failure, HasSubstr("models/v3.2.mlir:")) << "names the place in the model";
  }
}

TEST(CompileErrors, SeveralConfigProblemsAreReportedTogether) {
  auto config = nlohmann::json::parse(Read("tests/fixtures/deepseek-v3.2/config.json"));
  config.erase("vocab_size");
  config["hidden_act"] = "gelu";
  config["n_group"] = "many";
  EXPECT_THAT(Failure(CompileModelFile(kModel, Options({config.dump()}))),
              AllOf(HasSubstr("hidden_act"), HasSubstr("'vocab_size' is missing"), HasSubstr("'n_group' is \"many\"")));
}

TEST(CompileErrors, MalformedModels) {
  const auto compile = [](std::string_view text) { return Failure(CompileModel(text, "m.mlir", Options())); };
  EXPECT_THAT(compile("lm.model @m {"), HasSubstr("m.mlir:1:"));
  EXPECT_THAT(compile("\x01\x02\xff"), HasSubstr("m.mlir:1:1: "));
  EXPECT_THAT(compile(""), HasSubstr("the file holds 0 lm.model ops; want one"));
  EXPECT_THAT(compile("lm.model @m {\n  lm.mystery\n}"), HasSubstr("m.mlir:2:"));
  EXPECT_THAT(compile("func.func @f() { return }"), HasSubstr("holds 0 lm.model"));
  EXPECT_THAT(compile("toy.op"), HasSubstr("toy"));
  EXPECT_THAT(compile("lm.model @a {\n}\nlm.model @b {\n}"), HasSubstr("holds 2 lm.model ops"));
  EXPECT_THAT(compile("lm.model @m {\n  lm.entry @step {\n    %x = lm.input \"ids\"\n    %y = lm.linear %x \"w\" to [@n]\n"
                      "    lm.return [\"logits\"] %y\n  }\n}"),
              HasSubstr("m.mlir:4:10: 'lm.linear' op uses parameter @n, which the model does not define"));
  EXPECT_EQ(compile("lm.model @m {").find("\n"), std::string::npos);
}

TEST(CompileErrors, OptionsOutOfRange) {
  const auto compile = [](auto change) {
    CompileOptions options = Options();
    change(options);
    return Failure(CompileModelFile(kModel, options));
  };
  EXPECT_THAT(compile([](auto& o) { o.max_rows = 0; }), HasSubstr("max-rows is 0"));
  EXPECT_THAT(compile([](auto& o) { o.max_sequences = -1; }), HasSubstr("max-sequences is -1"));
  EXPECT_THAT(compile([](auto& o) { o.max_context = 163841; }),
              HasSubstr("max-context is 163841; the model's positions allow 1 to 163840"));
  EXPECT_THAT(compile([](auto& o) { o.numerics = "exact"; }), HasSubstr("numerics 'exact'"));
  EXPECT_THAT(compile([](auto& o) { o.kv_dtype = "f4"; }), HasSubstr("kv-dtype 'f4'"));
  EXPECT_THAT(compile([](auto& o) { o.weights_format = "f4"; }), HasSubstr("weights-format 'f4'"));
  EXPECT_THAT(compile([](auto& o) { o.manifest = ""; }), HasSubstr("no manifest given"));
  EXPECT_THAT(compile([](auto& o) { o.manifest = "{"; }), HasSubstr("manifest: not a JSON object"));
  const std::string without_kernels = compile([](auto& o) { o.manifest = R"({"schema": 1, "kernels": []})"; });
  EXPECT_THAT(without_kernels, HasSubstr("backend 'cpu' cannot run this model: it has no kernel for 'embed', "));
  EXPECT_LT(without_kernels.size(), 300) << without_kernels;
  EXPECT_THAT(compile([](auto& o) { o.configs = {"{"}; }), HasSubstr("config 1 of 1 is not a JSON object"));
}

TEST(CompileErrors, AFileThatIsNotThere) {
  auto program = CompileModelFile("models/none.mlir", Options());
  EXPECT_EQ(program.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Failure(program), HasSubstr("models/none.mlir"));
}

}  // namespace
}  // namespace modelc
