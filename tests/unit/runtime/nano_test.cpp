// The nano checkpoint for real: compiled, bound, run on the CPU plugin, all goldens at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "core/compiler/compiler.h"
#include "core/runtime/engine.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

constexpr char kCheckpoint[] = "models/nano/checkpoint";

struct Golden {
  std::string id;
  std::vector<int32_t> prompt, completion;
  std::vector<double> margins;  // between the best and the second logit, a step
};

std::vector<Golden> ReadGoldens() {
  std::vector<Golden> goldens;
  std::ifstream in("models/nano/goldens.jsonl");
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line);
    goldens.push_back({json["id"], json["prompt_ids"], json["completion_ids"], json["margins"]});
  }
  return goldens;
}

std::string ReadText(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class Nano {
 public:
  Nano(const std::string& numerics, EngineOptions options) { Open(numerics, options); }
  Engine& engine() { return *engine_; }

 private:
  void Open(const std::string& numerics, EngineOptions options) {
    auto plugin = SelectPlugin({}, "cpu");
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    auto device = Device::Open(*plugin, 0, 2);
    ASSERT_TRUE(device.ok()) << device.status();
    auto checkpoint = Checkpoint::Open(kCheckpoint);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint_ = *std::move(checkpoint);
    CompileOptions compile;
    compile.configs = {ReadText(absl::StrCat(kCheckpoint, "/config.json"))};
    compile.checkpoint = &checkpoint_->index();
    compile.manifest = (*device)->manifest();
    compile.numerics = numerics;
    compile.max_rows = options.max_rows;
    compile.max_sequences = options.max_sequences;
    auto program = CompileModelFile("models/v3.2.mlir", compile);
    ASSERT_TRUE(program.ok()) << program.status();
    auto engine = Engine::Create(*std::move(program), *checkpoint_, *std::move(device), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Engine> engine_;
};

std::vector<std::vector<int32_t>> CompleteAll(Engine& engine, const std::vector<Golden>& goldens) {
  std::vector<std::vector<int32_t>> texts(goldens.size());
  absl::BlockingCounter left(static_cast<int>(goldens.size()));
  for (size_t i = 0; i < goldens.size(); ++i) {
    GenerateRequest request;
    request.prompt = goldens[i].prompt;
    request.sampling.temperature = 0;
    request.max_tokens = static_cast<int64_t>(goldens[i].completion.size());
    request.stop_ids = {1};
    request.on_token = [&, i](const TokenEvent& event) {
      if (event.id) texts[i].push_back(*event.id);
      EXPECT_TRUE(event.status.ok()) << event.status;
      if (event.finish) left.DecrementCount();
      return true;
    };
    auto id = engine.Submit(std::move(request));
    EXPECT_TRUE(id.ok()) << id.status();
    if (!id.ok()) left.DecrementCount();
  }
  left.Wait();
  return texts;
}

// Equal up to the first step whose recorded margin is below `near_tie`; counts those that are equal to the end.
int CountEqual(const std::vector<Golden>& goldens, const std::vector<std::vector<int32_t>>& texts, double near_tie) {
  int equal = 0;
  for (size_t i = 0; i < goldens.size(); ++i) {
    const Golden& g = goldens[i];
    const size_t step =
        std::mismatch(g.completion.begin(), g.completion.end(), texts[i].begin(), texts[i].end()).first -
        g.completion.begin();
    if (step == g.completion.size()) {
      ++equal;
    } else {
      EXPECT_LT(g.margins[step], near_tie) << g.id << " differs at step " << step;
    }
  }
  return equal;
}

TEST(Nano, ReferenceNumericsGiveTheGoldens) {
  const std::vector<Golden> goldens = ReadGoldens();
  ASSERT_EQ(goldens.size(), 24u);
  Nano nano("reference", {});
  const auto texts = CompleteAll(nano.engine(), goldens);
  EXPECT_GE(CountEqual(goldens, texts, 0.05), 22);
}

TEST(Nano, FastNumericsGiveTheGoldensButForNearTies) {
  const std::vector<Golden> goldens = ReadGoldens();
  Nano nano("fast", {});
  EXPECT_GE(CountEqual(goldens, CompleteAll(nano.engine(), goldens), 0.5), 16);
}

TEST(Nano, SpeculationAndBatchChangeNothing) {
  const std::vector<Golden> goldens = ReadGoldens();
  EngineOptions options;
  Nano with("fast", options);
  const auto texts = CompleteAll(with.engine(), goldens);
  const EngineStats stats = with.engine().Stats();
  EXPECT_GT(stats.drafted, 400);
  EXPECT_GT(static_cast<double>(stats.accepted) / static_cast<double>(stats.drafted), 0.85);
  // Alone: one sequence at a time, small prefill chunks, no guesses, no shared pages.
  options.speculate = options.prefix_cache = false;
  options.max_sequences = 1;
  options.max_rows = 100;
  Nano alone("fast", options);
  EXPECT_EQ(CompleteAll(alone.engine(), goldens), texts);
  EXPECT_EQ(alone.engine().Stats().drafted, 0);
}

}  // namespace
}  // namespace modelc
