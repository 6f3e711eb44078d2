#include "tools/modelc/measure/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace modelc {
namespace {

constexpr size_t kReadBytes = size_t{256} << 20;  // beyond any cache
constexpr int kRuns = 5;
constexpr int64_t kChainSteps = 4'000'000;
constexpr int kChains = 12;  // independent, enough to fill the pipelines

std::atomic<uint64_t> sink;  // keeps results alive

// The shortest of several runs of `work(thread)` on every thread.
double BestSeconds(unsigned threads, const std::function<void(unsigned)>& work) {
  double best = 1e30;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (unsigned t = 1; t < threads; ++t) team.emplace_back(work, t);
    work(0);
    for (std::thread& thread : team) thread.join();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

uint64_t ReadAll(const uint64_t* data, size_t words) {
  typedef uint64_t Lanes __attribute__((vector_size(64)));
  Lanes sums[4] = {};
  const auto* lanes = reinterpret_cast<const Lanes*>(data);
  for (size_t i = 0; i + 4 <= words / 8; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += lanes[i + j];
  }
  const Lanes sum = sums[0] + sums[1] + sums[2] + sums[3];
  return sum[0] ^ sum[3] ^ sum[7];
}

// Chains of multiply-add; returns FLOPs done.
template <typename Vector>
[[gnu::always_inline]] inline double Chains() {
  Vector x[kChains], a, b;
  for (size_t lane = 0; lane < sizeof(Vector) / sizeof(float); ++lane) {
    a[lane] = 0.999f;
    b[lane] = 0.001f;
    for (Vector& chain : x) chain[lane] = static_cast<float>(lane);
  }
  for (int64_t i = 0; i < kChainSteps; ++i) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) x[c] = x[c] * a + b;
  }
  Vector sum = x[0];
  for (int c = 1; c < kChains; ++c) sum += x[c];
  sink += static_cast<uint64_t>(sum[0]);
  return 2.0 * kChainSteps * kChains * sizeof(Vector) / sizeof(float);
}

typedef float Float4 __attribute__((vector_size(16)));
double ChainsBaseline() { return Chains<Float4>(); }

#if defined(__x86_64__)
typedef float Float8 __attribute__((vector_size(32)));
typedef float Float16 __attribute__((vector_size(64)));
__attribute__((target("avx2,fma"))) double ChainsAvx2() { return Chains<Float8>(); }
__attribute__((target("avx512f"))) double ChainsAvx512() { return Chains<Float16>(); }

double RunChains() {
  if (__builtin_cpu_supports("avx512f")) return ChainsAvx512();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ChainsAvx2();
  return ChainsBaseline();
}

// Chains of sums of integer products; return what was done, a product and its sum counted as two.
__attribute__((target("avx512f,avx512vnni"))) double FoursAvx512() {
  __m512i x[kChains] = {};
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-1);
  for (int64_t i = 0; i < kChainSteps; ++i) {
#pragma unroll
    for (__m512i& chain : x) chain = _mm512_dpbusd_epi32(chain, a, b);
  }
  for (int c = 1; c < kChains; ++c) x[0] = _mm512_add_epi32(x[0], x[c]);
  sink += static_cast<uint64_t>(_mm512_cvtsi512_si32(x[0]));
  return 2.0 * kChainSteps * kChains * 64;
}

__attribute__((target("avx512bw"))) double PairsAvx512() {
  __m512i x[kChains] = {};
  const __m512i a = _mm512_set1_epi16(3), b = _mm512_set1_epi32(1);
  for (int64_t i = 0; i < kChainSteps; ++i) {
#pragma unroll
    for (__m512i& chain : x) chain = _mm512_add_epi32(_mm512_madd_epi16(chain, a), b);
  }
  for (int c = 1; c < kChains; ++c) x[0] = _mm512_add_epi32(x[0], x[c]);
  sink += static_cast<uint64_t>(_mm512_cvtsi512_si32(x[0]));
  return 2.0 * kChainSteps * kChains * 32;
}

__attribute__((target("avx2"))) double PairsAvx2() {
  __m256i x[kChains] = {};
  const __m256i a = _mm256_set1_epi16(3), b = _mm256_set1_epi32(1);
  for (int64_t i = 0; i < kChainSteps; ++i) {
#pragma unroll
    for (__m256i& chain : x) chain = _mm256_add_epi32(_mm256_madd_epi16(chain, a), b);
  }
  for (int c = 1; c < kChains; ++c) x[0] = _mm256_add_epi32(x[0], x[c]);
  sink += static_cast<uint64_t>(_mm256_cvtsi256_si32(x[0]));
  return 2.0 * kChainSteps * kChains * 16;
}

double RunIntegerChains() {
  if (__builtin_cpu_supports("avx512vnni")) return FoursAvx512();
  if (__builtin_cpu_supports("avx512bw")) return PairsAvx512();
  if (__builtin_cpu_supports("avx2")) return PairsAvx2();
  return RunChains();
}
#else
double RunChains() { return ChainsBaseline(); }
double RunIntegerChains() { return RunChains(); }
#endif

// Of what `chains` counts, a second.
double Rate(unsigned threads, double (*chains)()) {
  std::atomic<double> done{0};
  const double seconds = BestSeconds(threads, [&](unsigned) { done = chains(); });
  return done * threads / seconds;
}

}  // namespace

MachineLimits MeasureLimits(unsigned threads) {
  threads = std::max(1u, threads);
  MachineLimits limits;
  {
    struct alignas(64) Line {
      uint64_t words[8];
    };
    std::vector<Line> data(kReadBytes / sizeof(Line));
    for (size_t i = 0; i < data.size(); ++i) data[i].words[0] = i;
    const size_t share = data.size() / threads;
    const double seconds = BestSeconds(threads, [&](unsigned t) {
      sink += ReadAll(data[t * share].words, share * 8);
    });
    limits.read_bytes_per_second = static_cast<double>(share * threads * sizeof(Line)) / seconds;
  }
  limits.flops_per_second = Rate(threads, RunChains);
  limits.int_ops_per_second = Rate(threads, RunIntegerChains);
  return limits;
}

}  // namespace modelc
