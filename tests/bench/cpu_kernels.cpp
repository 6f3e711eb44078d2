// google-benchmark suite of the CPU plugin's row, attention, indexer and MoE kernels, at the widths of V3.2 (128 heads,
// 64 index heads), of the 1B bench model (16, 16) and of nano (4, 4). One worker, so that CPU time is the cost;
// FLOP/s and bytes/s (cache bytes read) beside it. Run: build/release/bench/bench_cpu_kernels --benchmark_filter=attend
#include <benchmark/benchmark.h>

#include <cstring>

#include "tests/unit/cpu/runner.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kLatent = 512, kRope = 64, kWidth = 128;

// The processor's, or what MODELC_CPU_ISA said before MakeKernel first set it.
Isa BestIsa() {
  static const Isa isa = HostIsa();
  return isa;
}

// `rows` rows of one sequence, the last at position context - 1, over a shuffled page table.
struct Step {
  Step(int64_t rows, int64_t context) {
    const int64_t n_pages = (context + 63) / 64;
    std::vector<int32_t> p(rows), s(rows, 0), table(n_pages);
    for (int64_t i = 0; i < rows; ++i) p[i] = static_cast<int32_t>(context - rows + i);
    for (int64_t i = 0; i < n_pages; ++i) table[i] = static_cast<int32_t>(i);
    std::shuffle(table.begin(), table.end(), std::mt19937(1));
    pos = Array::Ints({rows}, p);
    seq = Array::Ints({rows}, s);
    pages = Array::Ints({1, n_pages}, table);
  }
  Array pos, seq, pages;
};

// A cache of random bytes that are finite e4m3 values and scales of 1.
Array F8Cache(int64_t pages, int64_t page_bytes) {
  Array cache = Array::Bytes({pages, page_bytes});
  std::mt19937 engine(2);
  // Subnormal bytes, seldom in a cache, cost some processors a hundred cycles.
  for (std::byte& b : cache.bytes) b = static_cast<std::byte>(8 + engine() % 0x58);
  return cache;
}

// Random records of the step's first `context` positions.
Array LatentCache(const Step& step, int64_t context, const std::string& format, int64_t record_bytes) {
  Array pages = step.pages, cache = Array::Bytes({step.pages.shape[1], 64 * record_bytes});
  std::vector<int32_t> p(context), s(context, 0);
  for (int64_t i = 0; i < context; ++i) p[i] = static_cast<int32_t>(i);
  Array pos = Array::Ints({context}, p), seq = Array::Ints({context}, s);
  Array latent = Array::Random({context, kLatent}, 1), key = Array::Random({context, kRope}, 2);
  Pool pool(1);
  const auto kernel = MakeKernel("mla.append", R"({"format": ")" + format + "\"}", BestIsa());
  if (!Launch(*kernel, {&latent, &key, &pos, &seq, &pages, &cache}, pool).ok()) std::abort();
  return cache;
}

void Count(benchmark::State& state, double flops, const Traffic& traffic) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] =
      benchmark::Counter(static_cast<double>(traffic.cache_bytes), benchmark::Counter::kIsIterationInvariantRate,
                         benchmark::Counter::kIs1024);
}

void Loop(benchmark::State& state, const Kernel& kernel, const std::vector<Array*>& operands, double flops) {
  Pool pool(1);
  Traffic traffic;
  for (auto _ : state)
    if (!Launch(kernel, operands, pool, &traffic).ok()) return state.SkipWithError("refused");
  Count(state, flops, traffic);
}

// heads, rows, context, k (0: all visible); int8 records or e4m3 ones
void Attend(benchmark::State& state) {
  const int64_t heads = state.range(0), rows = state.range(1), context = state.range(2), k = state.range(3);
  const std::string format = state.range(4) ? "i8" : "f8";
  Step step(rows, context);
  Array q = Array::Random({rows, heads, kLatent}, 3), r = Array::Random({rows, heads, kRope}, 4);
  Array cache = LatentCache(step, context, format, kLatent + (format == "i8" ? 4 : 16) + 2 * kRope),
        out = Array::Floats({rows, heads, kLatent});
  std::vector<int32_t> list(rows * k);
  for (int64_t i = 0; i < rows * k; ++i) list[i] = static_cast<int32_t>(i % k * (context - rows) / k);
  Array sel = Array::Ints({rows, k}, list);
  const auto kernel = MakeKernel("mla.attend_latent", R"({"scale": 0.04, "format": ")" + format + "\"}", BestIsa());
  double keys = 0;
  for (int64_t i = 0; i < rows; ++i) keys += k ? k : context - rows + i + 1;
  Loop(state, *kernel, {&q, &r, k ? &sel : nullptr, &step.pos, &step.seq, &step.pages, &cache, &out},
       2.0 * heads * keys * (2 * kLatent + kRope));
}
BENCHMARK(Attend)
    ->ArgNames({"heads", "rows", "context", "k", "int8"})
    ->ArgsProduct({{128}, {1}, {8192}, {2048}, {0, 1}})
    ->ArgsProduct({{128}, {1, 8}, {2048}, {0}, {0, 1}})
    ->ArgsProduct({{16}, {1, 16}, {8192}, {2048}, {0, 1}})
    ->ArgsProduct({{16}, {16}, {2048}, {0}, {0, 1}})
    ->ArgsProduct({{4}, {1}, {4096}, {64}, {0, 1}})
    ->ArgsProduct({{4}, {32}, {256}, {0}, {0, 1}});

// heads, rows, context
void LogitsSelect(benchmark::State& state, const char* format) {
  const int64_t heads = state.range(0), rows = state.range(1), context = state.range(2);
  Step step(rows, context);
  Array q = Array::Random({rows, heads, kWidth}, 3), w = Array::Random({rows, heads}, 4);
  Array cache = F8Cache(step.pages.shape[1], 64 * (kWidth + 4)),
        sel = Array::Ints({rows, 2048}, std::vector<int32_t>(rows * 2048));
  const auto kernel = MakeKernel("dsa.logits_select",
                                 R"({"scale": 1, "k": 2048, "format": ")" + std::string(format) + "\"}", BestIsa());
  Loop(state, *kernel, {&q, &w, &step.pos, &step.seq, &step.pages, &cache, &sel},
       2.0 * heads * rows * static_cast<double>(context) * kWidth);
}
void IndexSizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"heads", "rows", "context"});
  for (int64_t heads : {64, 16, 4})
    for (int64_t rows : {1, 8}) benchmark->Args({heads, rows, 8192});
  benchmark->Args({16, 1, 262144});  // more keys than a cache holds
}
BENCHMARK_CAPTURE(LogitsSelect, f8, "f8")->Apply(IndexSizes);
BENCHMARK_CAPTURE(LogitsSelect, i8, "i8")->Apply(IndexSizes);

// context
void Select(benchmark::State& state) {
  const int64_t context = state.range(0);
  Array score = Array::Random({1, context}, 1), pos = Array::Ints({1}, {static_cast<int32_t>(context - 1)});
  Array seq = Array::Ints({1}, {0}), sel = Array::Ints({1, 2048}, std::vector<int32_t>(2048));
  Loop(state, *MakeKernel("dsa.select", R"({"k": 2048})", BestIsa()), {&score, &pos, &seq, &sel}, 0);
}
BENCHMARK(Select)->ArgName("context")->Arg(8192)->Arg(131072);

// rows, width
void RmsNorm(benchmark::State& state) {
  const int64_t rows = state.range(0), width = state.range(1);
  Array x = Array::Random({rows, width}, 1), w = Array::Floats({width}, 1), out = x;
  Loop(state, *MakeKernel("rms_norm", R"({"eps": 1e-6, "first": 0})", BestIsa()), {&x, &w, &out}, 4.0 * rows * width);
}
BENCHMARK(RmsNorm)->Args({1, 7168})->Args({64, 1024});

// rows, heads, keep
void Rope(benchmark::State& state) {
  const int64_t rows = state.range(0), heads = state.range(1);
  Array x = Array::Random({rows, heads, 192}, 1), out = Array::Floats({rows, heads, 64}), freq = Array::Random({32}, 2);
  Array pos = Array::Ints({rows}, std::vector<int32_t>(rows, 777));
  Loop(state, *MakeKernel("rope", R"({"first": 128, "dim": 64, "pairs": "interleaved", "keep": false})", BestIsa()),
       {&x, &pos, &freq, &out}, 6.0 * 32 * rows * heads);
}
BENCHMARK(Rope)->Args({1, 128})->Args({64, 16})->Args({64, 1});

// rows, heads
void Hadamard(benchmark::State& state) {
  Array x = Array::Random({state.range(0), state.range(1), 128}, 1), out = x;
  Loop(state, *MakeKernel("hadamard", "{}", BestIsa()), {&x, &out}, 7.0 * 128 * state.range(0) * state.range(1));
}
BENCHMARK(Hadamard)->Args({1, 64})->Args({64, 16});

// rows, width
void FakeQuantize(benchmark::State& state) {
  Array x = Array::Random({state.range(0), state.range(1)}, 1), out = x;
  Loop(state, *MakeKernel("fake_quantize", "{}", BestIsa()), {&x, &out}, 0);
}
BENCHMARK(FakeQuantize)->Args({1, 7168});

// rows, experts
void Route(benchmark::State& state) {
  const int64_t rows = state.range(0), experts = state.range(1);
  Array x = Array::Random({rows, experts}, 1), bias = Array::Random({experts}, 2), w = Array::Floats({rows, 8});
  Array e = Array::Ints({rows, 8}, std::vector<int32_t>(rows * 8));
  Loop(state, *MakeKernel("moe.route", R"({"groups": 8, "topk_group": 4, "scale": 2.5, "normalize": true})", BestIsa()),
       {&x, &bias, &w, &e}, 0);
}
BENCHMARK(Route)->Args({1, 256})->Args({64, 64});

}  // namespace
}  // namespace modelc::cpu

BENCHMARK_MAIN();
