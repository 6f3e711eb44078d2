// google-benchmark suite of the matrix products at the widths of nano, of the 1B bench model and of V3.2, beside the
// machine's limits, measured first: bytes read from memory and FMA operations, a second, by the whole pool.
// `of_read` and `of_fma` are the fractions reached. Weights cycle through more memory than the caches hold.
// Run: build/release/bench/matmul_bench --benchmark_filter=Linear
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "backends/cpu/device/pool.h"
#include "backends/cpu/device/table.h"
#include "plugins/sdk/tensor.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kMemory = int64_t{256} << 20;

Pool& Team() {
  static Pool pool(AvailableCpus());
  return pool;
}

// e4m3 bytes of normally distributed weights, as a quantized checkpoint has them: few are subnormal.
const std::vector<uint8_t>& Weights() {
  static const std::vector<uint8_t> weights = [] {
    std::vector<uint8_t> w(kMemory);
    std::mt19937 random(1);
    for (uint8_t& b : w) {
      const uint32_t r = random();
      b = (r & 0x87) | (8 + (r >> 8) % 6) << 3;
    }
    return w;
  }();
  return weights;
}

double Seconds(const auto& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Best of some tries of `amount` done by body(worker).
double BestRate(double amount, const std::function<void(Worker&)>& body) {
  double best = 0;
  for (int i = 0; i < 10; ++i) best = std::max(best, amount / Seconds([&] { Team().Run(body); }));
  return best;
}

double ReadLimit() {
  static const double limit = BestRate(kMemory, [](Worker& worker) {
    const auto [begin, end] = worker.Share(kMemory, 4096);
    uint64_t sum = 0;
    for (int64_t i = begin; i < end; i += 64) {
      __builtin_prefetch(Weights().data() + i + 2048);
      uint64_t word;
      std::memcpy(&word, Weights().data() + i, sizeof(word));
      sum += word;
    }
    benchmark::DoNotOptimize(sum);
  });
  return limit;
}

#if defined(__x86_64__)
template <int lanes>
[[gnu::always_inline]] inline float FmaLoop(int64_t steps) {
  typedef float V __attribute__((vector_size(lanes * 4)));
  V sum[12] = {}, x = V{} + 0.999f, y = V{} + 0.001f;
  for (int64_t i = 0; i < steps; ++i) {
#pragma unroll
    for (V& s : sum) s = __builtin_elementwise_fma(s, x, y);
  }
  for (int i = 1; i < 12; ++i) sum[0] += sum[i];
  return sum[0][0];
}
[[gnu::target("avx2,fma"), gnu::noinline]] float FmaAvx2(int64_t steps) { return FmaLoop<8>(steps); }
[[gnu::target("avx512f,fma"), gnu::noinline]] float FmaAvx512(int64_t steps) { return FmaLoop<16>(steps); }
#endif

double FmaLimit() {
  static const double limit = [] {
    double rate = 0;
#if defined(__x86_64__)
    constexpr int64_t kSteps = 1000000;
    const bool wide = HostIsa() >= Isa::kAvx512;
    if (HostIsa() >= Isa::kAvx2)
      rate = BestRate(2.0 * 12 * (wide ? 16 : 8) * kSteps * Team().size(), [&](Worker&) {
        float sum = wide ? FmaAvx512(kSteps) : FmaAvx2(kSteps);
        benchmark::DoNotOptimize(sum);
      });
#endif
    return rate;
  }();
  return limit;
}

void Count(benchmark::State& state, double bytes, double flops, double seconds) {
  const double n = static_cast<double>(state.iterations());
  state.counters["GB/s"] = n * bytes / seconds / 1e9;
  state.counters["of_read"] = n * bytes / seconds / ReadLimit();
  state.counters["GFLOP/s"] = n * flops / seconds / 1e9;
  if (FmaLimit() > 0) state.counters["of_fma"] = n * flops / seconds / FmaLimit();
}

Tensor Floats(std::vector<float>& data, std::vector<int64_t> shape) {
  Tensor t;
  t.data = reinterpret_cast<std::byte*>(data.data());
  t.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), t.shape);
  return t;
}

// Weights [matrices, rows, k] (or [rows, k]) number `i` in Weights(), which holds as many as fit.
Tensor WeightTensor(int64_t i, int64_t matrices, int64_t rows, int64_t k, bool grouped) {
  static const std::vector<float> scales(kMemory / 128 / 8, 0.01f);
  Tensor t;
  const int64_t bytes = matrices * rows * k;
  t.data = reinterpret_cast<std::byte*>(const_cast<uint8_t*>(Weights().data())) + i % (kMemory / bytes) * bytes;
  t.scale = scales.data();
  t.dtype = MODELC_F8E4M3;
  t.rank = grouped ? 3 : 2;
  int64_t* shape = t.shape;
  if (grouped) *shape++ = matrices;
  shape[0] = rows;
  shape[1] = k;
  return t;
}

void Loop(benchmark::State& state, const char* op, const nlohmann::json& attributes, double bytes, double flops,
          const std::function<std::vector<Tensor>(int64_t i)>& tensors) {
  const auto kernel = FindKernel(op)->make(attributes);
  if (!kernel.ok()) return state.SkipWithError("refused");
  ReadLimit(), FmaLimit();
  int64_t i = 0;
  const double seconds = Seconds([&] {
    for (auto _ : state) {
      const std::vector<Tensor> t = tensors(i++);
      Team().Run([&](Worker& worker) { (*kernel)->Run(t, worker); });
    }
  });
  Count(state, bytes, flops, seconds);
}

// T, N, K
void Linear(benchmark::State& state) {
  const int64_t t = state.range(0), n = state.range(1), k = state.range(2);
  std::vector<float> x(t * k, 1.0f), out(t * n);
  Loop(state, "linear", {{"act", "none"}}, n * k, 2.0 * t * n * k, [&](int64_t i) {
    return std::vector<Tensor>{Floats(x, {t, k}), WeightTensor(i, 1, n, k, false), Floats(out, {t, n})};
  });
}
BENCHMARK(Linear)
    ->ArgNames({"T", "N", "K"})
    ->ArgsProduct({{1, 2, 4, 8, 64, 512}, {3072}, {512}})   // bench-1b q_b_proj
    ->ArgsProduct({{1, 2, 4, 8, 64, 512}, {2816}, {1024}})  // bench-1b gate_proj
    ->ArgsProduct({{1, 8, 64}, {7168}, {16384}})            // V3.2 o_proj
    ->ArgsProduct({{1, 8, 64}, {576}, {7168}})              // V3.2 kv_a_proj
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// T, N, K, and whether weights are int4 or int8
void IntegerLinear(benchmark::State& state) {
  const int64_t t = state.range(0), n = state.range(1), k = state.range(2);
  const modelc_dtype dtype = state.range(3) ? MODELC_INT4 : MODELC_INT8;
  const int64_t bytes = n * ((k + 127) / 128) * static_cast<int64_t>(sdk::GroupBytes(dtype));
  std::vector<float> x(t * k, 1.0f), out(t * n);
  Loop(state, "linear", {{"act", "int8_1x128"}}, bytes, 2.0 * t * n * k, [&](int64_t i) {
    Tensor w;
    w.data = reinterpret_cast<std::byte*>(const_cast<uint8_t*>(Weights().data())) + i % (kMemory / bytes) * bytes;
    w.dtype = dtype;
    w.rank = 2;
    w.shape[0] = n;
    w.shape[1] = k;
    return std::vector<Tensor>{Floats(x, {t, k}), w, Floats(out, {t, n})};
  });
}
BENCHMARK(IntegerLinear)
    ->ArgNames({"T", "N", "K", "int4"})
    ->ArgsProduct({{1, 2, 4, 6, 8, 16, 64}, {3072}, {512}, {0, 1}})    // bench-1b q_b_proj
    ->ArgsProduct({{1, 2, 4, 6, 8, 16, 64}, {2816}, {1024}, {0, 1}})   // bench-1b gate_proj
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// T, E, F, K: 8 experts a row, spread evenly.
void GroupedSiluMul(benchmark::State& state) {
  const int64_t t = state.range(0), e = state.range(1), f = state.range(2), k = state.range(3), m = t * 8;
  std::vector<int32_t> rows(m), offsets(e + 1);
  for (int64_t i = 0; i <= e; ++i) offsets[i] = static_cast<int32_t>(m * i / e);
  for (int64_t i = 0; i < m; ++i) rows[i] = static_cast<int32_t>(i % t);
  const double active = std::min(e, m);
  std::vector<float> x(t * k, 1.0f), out(m * f);
  const auto ints = [](std::vector<int32_t>& data) {
    Tensor tensor;
    tensor.data = reinterpret_cast<std::byte*>(data.data());
    tensor.dtype = MODELC_I32;
    tensor.rank = 1;
    tensor.shape[0] = static_cast<int64_t>(data.size());
    return tensor;
  };
  Loop(state, "grouped_linear_silu_mul", {{"act", "none"}}, 2 * active * f * k, 4.0 * m * f * k, [&](int64_t i) {
    return std::vector<Tensor>{Floats(x, {t, k}),
                               ints(rows),
                               ints(offsets),
                               WeightTensor(2 * i, e, f, k, true),
                               WeightTensor(2 * i + 1, e, f, k, true),
                               Floats(out, {m, f})};
  });
}
BENCHMARK(GroupedSiluMul)
    ->ArgNames({"T", "E", "F", "K"})
    ->ArgsProduct({{1, 8, 64, 512}, {64}, {512}, {1024}})  // bench-1b
    ->ArgsProduct({{1, 8}, {8}, {2048}, {7168}})           // V3.2, the experts one row picks
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// T, heads, transposed
void HeadLinear(benchmark::State& state) {
  const int64_t t = state.range(0), heads = state.range(1), latent = 512;
  const bool transposed = state.range(2);
  std::vector<float> small(t * heads * 128, 1.0f), large(t * heads * latent, 1.0f);
  const nlohmann::json attributes = {{"x_first", 0},
                                     {"x_count", transposed ? 128 : latent},
                                     {"first", transposed ? 0 : 128},
                                     {"count", 128},
                                     {"transposed", transposed}};
  Loop(state, "head_linear", attributes, heads * 128 * latent, 2.0 * t * heads * 128 * latent, [&](int64_t i) {
    const Tensor w = WeightTensor(i, 1, heads * 256, latent, false);
    const Tensor head = Floats(small, {t, heads, 128}), lat = Floats(large, {t, heads, latent});
    return transposed ? std::vector<Tensor>{head, w, lat} : std::vector<Tensor>{lat, w, head};
  });
}
BENCHMARK(HeadLinear)
    ->ArgNames({"T", "heads", "transposed"})
    ->ArgsProduct({{1, 8, 64}, {4, 16, 128}, {0, 1}})  // nano, bench-1b, V3.2
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace modelc::cpu

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::printf("%s, %d threads: reads %.1f GB/s, FMA %.1f GFLOP/s\n", modelc::cpu::Name(modelc::cpu::HostIsa()),
              modelc::cpu::Team().size(), modelc::cpu::ReadLimit() / 1e9, modelc::cpu::FmaLimit() / 1e9);
  benchmark::RunSpecifiedBenchmarks();
}
