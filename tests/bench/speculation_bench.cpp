// Greedy decoding of nano's thinking goldens, one at a time, with and without guesses of the MTP head. The texts are the
// same; time runs from an answer's first token to its last, so prefill is left out.
#include <benchmark/benchmark.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/synchronization/notification.h"
#include "core/compiler/compiler.h"
#include "core/runtime/engine.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

constexpr char kCheckpoint[] = "models/nano/checkpoint";

std::string ReadText(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::vector<int32_t>> ThinkingPrompts() {
  std::vector<std::vector<int32_t>> prompts;
  std::ifstream in("models/nano/goldens.jsonl");
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json["id"].get<std::string>().find("think") != std::string::npos) prompts.push_back(json["prompt_ids"]);
  }
  return prompts;
}

absl::StatusOr<std::unique_ptr<Engine>> Open(const Checkpoint& checkpoint, bool speculate) {
  auto plugin = SelectPlugin({}, "cpu");
  if (!plugin.ok()) return plugin.status();
  auto device = Device::Open(*plugin, 0, 0);
  if (!device.ok()) return device.status();
  CompileOptions compile;
  compile.configs = {ReadText(std::string(kCheckpoint) + "/config.json")};
  compile.checkpoint = &checkpoint.index();
  compile.manifest = (*device)->manifest();
  auto program = CompileModelFile("models/v3.2.mlir", compile);
  if (!program.ok()) return program.status();
  EngineOptions options;
  options.speculate = speculate;
  return Engine::Create(*std::move(program), checkpoint, *std::move(device), options);
}

struct Decoded {
  int64_t tokens = 0;  // after the first
  double seconds = 0;
};

Decoded Answer(Engine& engine, const std::vector<int32_t>& prompt) {
  using Clock = std::chrono::steady_clock;
  Decoded out;
  std::optional<Clock::time_point> first;
  absl::Notification done;
  GenerateRequest request;
  request.prompt = prompt;
  request.sampling.temperature = 0;
  request.max_tokens = 200;
  request.stop_ids = {1};
  request.on_token = [&](const TokenEvent& event) {
    if (event.id && first) {
      ++out.tokens;
      out.seconds = std::chrono::duration<double>(Clock::now() - *first).count();
    } else if (event.id) {
      first = Clock::now();
    }
    if (event.finish) done.Notify();
    return true;
  };
  if (engine.Submit(std::move(request)).ok()) done.WaitForNotification();
  return out;
}

void Speculation(benchmark::State& state) {
  const std::vector<std::vector<int32_t>> prompts = ThinkingPrompts();
  auto checkpoint = Checkpoint::Open(kCheckpoint);
  if (!checkpoint.ok()) return state.SkipWithError(checkpoint.status().ToString().c_str());
  auto engine = Open(**checkpoint, state.range(0) != 0);
  if (!engine.ok()) return state.SkipWithError(engine.status().ToString().c_str());
  Decoded all;
  for (auto _ : state) {
    const double before = all.seconds;
    for (const auto& prompt : prompts) {
      const Decoded one = Answer(**engine, prompt);
      all.tokens += one.tokens;
      all.seconds += one.seconds;
    }
    state.SetIterationTime(all.seconds - before);
  }
  const EngineStats stats = (*engine)->Stats();
  state.counters["tokens/s"] = static_cast<double>(all.tokens) / all.seconds;
  state.counters["tokens/step"] = static_cast<double>(stats.completion_tokens) / static_cast<double>(stats.steps);
  if (stats.drafted > 0)
    state.counters["accepted"] = static_cast<double>(stats.accepted) / static_cast<double>(stats.drafted);
}
BENCHMARK(Speculation)->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace modelc

BENCHMARK_MAIN();
