// CPU kernels for training: RMSNorm, SwiGLU, rotary embedding, and sparse attention over the chosen keys of each query.
// Plain loops; the compiler vectorises.
#include <ATen/Parallel.h>
#include <torch/extension.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

namespace {

float *data(const torch::Tensor &t) { return t.data_ptr<float>(); }
int32_t *ints(const torch::Tensor &t) { return t.data_ptr<int32_t>(); }

inline float exp_(float x) { // relative error below 1e-6 on the clamped range; vectorises
  x = x < -87.f ? -87.f : (x > 87.f ? 87.f : x);
  float z = x * 1.44269504f, r = __builtin_floorf(z + 0.5f), f = (z - r) * 0.69314718f;
  float p =
      1.f + f * (1.f + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * (0.0083333333f + f * 0.0013888889f)))));
  int32_t e = ((int32_t)r + 127) << 23;
  float s;
  std::memcpy(&s, &e, 4);
  return p * s;
}

} // namespace

std::vector<torch::Tensor> rms_fwd(torch::Tensor x, torch::Tensor w, double eps) {
  x = x.contiguous();
  int64_t D = x.size(-1), N = x.numel() / D;
  auto y = torch::empty_like(x);
  auto r = torch::empty({N}, x.options());
  auto wf = w.to(torch::kFloat).contiguous();
  const float *wp = data(wf);
  float *rp = data(r);
    for (int64_t n = 0; n < N; n++) {
      const float *a = data(x) + n * D;
      float *o = data(y) + n * D;
      float s = 0;
#pragma omp simd reduction(+ : s)
      for (int64_t i = 0; i < D; i++) s += a[i] * a[i];
      float q = 1.f / std::sqrt(s / D + (float)eps);
      rp[n] = q;
#pragma omp simd
      for (int64_t i = 0; i < D; i++) o[i] = a[i] * q * wp[i];
    }
  return {y, r, x};
}

std::vector<torch::Tensor> rms_bwd(torch::Tensor g, torch::Tensor x, torch::Tensor w, torch::Tensor r) {
  g = g.contiguous();
  int64_t D = x.size(-1), N = x.numel() / D;
  auto gx = torch::empty_like(x);
  auto acc = torch::zeros({D}, x.options());
  auto wf = w.to(torch::kFloat).contiguous();
  const float *wp = data(wf), *rp = data(r);
  float *A = data(acc);
    for (int64_t n = 0; n < N; n++) {
      const float *a = data(x) + n * D, *h = data(g) + n * D;
      float *o = data(gx) + n * D;
      float q = rp[n], s = 0;
#pragma omp simd reduction(+ : s)
      for (int64_t i = 0; i < D; i++) {
        float v = a[i] * q, gg = h[i];
        A[i] += gg * v;
        s += gg * wp[i] * v;
      }
      s /= D;
#pragma omp simd
      for (int64_t i = 0; i < D; i++) o[i] = q * (h[i] * wp[i] - a[i] * q * s);
    }
  return {gx, acc.to(w.scalar_type())};
}

// h (N, 2I) = [gate | up] -> silu(gate) * up (N, I)
torch::Tensor glu_fwd(torch::Tensor h) {
  h = h.contiguous();
  int64_t N = h.size(0), I = h.size(1) / 2;
  auto y = torch::empty({N, I}, h.options());
    for (int64_t n = 0; n < N; n++) {
      const float *g = data(h) + n * 2 * I, *u = g + I;
      float *o = data(y) + n * I;
#pragma omp simd
      for (int64_t i = 0; i < I; i++) {
        float v = g[i];
        o[i] = v / (1.f + exp_(-v)) * u[i];
      }
    }
  return y;
}

torch::Tensor glu_bwd(torch::Tensor ga, torch::Tensor h) {
  ga = ga.contiguous();
  h = h.contiguous();
  int64_t N = h.size(0), I = h.size(1) / 2;
  auto gh = torch::empty_like(h);
    for (int64_t n = 0; n < N; n++) {
      const float *g = data(h) + n * 2 * I, *u = g + I, *a = data(ga) + n * I;
      float *og = data(gh) + n * 2 * I, *ou = og + I;
#pragma omp simd
      for (int64_t i = 0; i < I; i++) {
        float v = g[i], d = a[i], s = 1.f / (1.f + exp_(-v));
        og[i] = d * u[i] * s * (1.f + v * (1.f - s));
        ou[i] = d * v * s;
      }
    }
  return gh;
}

// Rotates the first (half-split pairs) or the last (interleaved pairs) 2R values of each row in place.
// x (..., H, D) contiguous with N rows of H heads, c and s (N, R) float; sign -1 rotates back.
void rope_(torch::Tensor x, torch::Tensor c, torch::Tensor s, double sign, bool interleaved) {
  TORCH_CHECK(x.is_contiguous());
  c = c.contiguous();
  s = s.contiguous();
  int64_t R = c.size(-1), N = c.numel() / R, H = x.size(-2), D = x.size(-1);
  const float *cp = data(c), *sp = data(s);
  float sg = (float)sign;
    for (int64_t n = 0; n < N; n++)
      for (int64_t h = 0; h < H; h++) {
        float *v = data(x) + (n * H + h) * D + (interleaved ? D - 2 * R : 0);
        int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : R;
#pragma omp simd
        for (int64_t i = 0; i < R; i++) {
          float a = v[step * i], d = v[step * i + other], co = cp[n * R + i], si = sp[n * R + i] * sg;
          v[step * i] = a * co - d * si;
          v[step * i + other] = a * si + d * co;
        }
      }
}

// Sparse attention.  q (N,H,C+R) scaled, kv (N,H,C+V) = [key | value] of every token, kp (N,R) the rotated key part all
// heads share; query n sees the cnt[n] tokens idx[n,:].  -> o (N,H,V), probabilities (N,H,K).  float32 only.
static float dot(const float *a, const float *b, int64_t n) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static void dot4(const float *a, const float *b0, const float *b1, const float *b2, const float *b3, int64_t n,
                 float *o) {
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
  for (int64_t i = 0; i < n; i++) {
    float v = a[i];
    s0 += v * b0[i];
    s1 += v * b1[i];
    s2 += v * b2[i];
    s3 += v * b3[i];
  }
  o[0] += s0, o[1] += s1, o[2] += s2, o[3] += s3;
}

// out[j] = a . base[idx[j]*stride .. + n], added to what out holds
static void dots(const float *a, const float *base, int64_t stride, const int32_t *idx, int64_t m, int64_t n,
                 float *out) {
  int64_t j = 0;
  for (; j + 4 <= m; j += 4)
    dot4(a, base + idx[j] * stride, base + idx[j + 1] * stride, base + idx[j + 2] * stride, base + idx[j + 3] * stride,
         n, out + j);
  for (; j < m; j++) out[j] += dot(a, base + idx[j] * stride, n);
}

// y += sum_j w[j] * base[idx[j]*stride .. + n]
static void gather_sum(const float *w, const float *base, int64_t stride, const int32_t *idx, int64_t m, int64_t n,
                       float *y) {
  int64_t j = 0;
  for (; j + 4 <= m; j += 4) {
    const float *b0 = base + idx[j] * stride, *b1 = base + idx[j + 1] * stride, *b2 = base + idx[j + 2] * stride,
                *b3 = base + idx[j + 3] * stride;
    float w0 = w[j], w1 = w[j + 1], w2 = w[j + 2], w3 = w[j + 3];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += w0 * b0[i] + w1 * b1[i] + w2 * b2[i] + w3 * b3[i];
  }
  for (; j < m; j++) {
    const float *b = base + idx[j] * stride;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += w[j] * b[i];
  }
}

// Calls f(first, last) on the parts of 0 .. n, one a thread.
static void parallel(int64_t n, const std::function<void(int64_t, int64_t)> &f) {
  int64_t parts = std::min<int64_t>(n, at::get_num_threads());
  std::vector<std::thread> others;
  for (int64_t t = 1; t < parts; t++) others.emplace_back(f, n * t / parts, n * (t + 1) / parts);
  f(0, n / parts);
  for (std::thread &t : others) t.join();
}

std::vector<torch::Tensor> attend_fwd(torch::Tensor q, torch::Tensor kv, torch::Tensor kp, torch::Tensor idx,
                                      torch::Tensor cnt) {
  TORCH_CHECK(q.is_contiguous() && kv.is_contiguous() && kp.is_contiguous() && idx.is_contiguous());
  int64_t N = q.size(0), H = q.size(1), R = kp.size(1), C = q.size(2) - R, V = kv.size(2) - C, K = idx.size(1);
  auto o = torch::zeros({N, H, V}, q.options()), p = torch::zeros({N, H, K}, q.options());
  const float *qp = data(q), *kvp = data(kv), *kpp = data(kp);
  const int32_t *ixp = ints(idx), *cn = ints(cnt);
  float *op = data(o), *pp = data(p);
  parallel(N, [=](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; n++) {
      const int32_t *ix = ixp + n * K;
      int64_t m = cn[n];
      for (int64_t h = 0; h < H; h++) {
        const float *a = qp + (n * H + h) * (C + R);
        float *s = pp + (n * H + h) * K;
        dots(a, kvp + h * (C + V), H * (C + V), ix, m, C, s);
        dots(a + C, kpp, R, ix, m, R, s);
        float mx = -1e30f, sum = 0;
        for (int64_t j = 0; j < m; j++) mx = std::max(mx, s[j]);
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < m; j++) sum += s[j] = exp_(s[j] - mx);
        for (int64_t j = 0; j < m; j++) s[j] /= sum;
        gather_sum(s, kvp + h * (C + V) + C, H * (C + V), ix, m, V, op + (n * H + h) * V);
      }
    }
  });
  return {o, p};
}

// y[idx[j]*stride .. + n] += sum over r of w[r][j] * x[r], for the first m keys that G rows share
template <int G>
static void scatter(const float *const *w, const float *const *x, const int32_t *idx, int64_t m, int64_t n,
                    int64_t stride, float *y) {
  for (int64_t j = 0; j < m; j++) {
    float *o = y + idx[j] * stride;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
      float s = o[i];
      for (int r = 0; r < G; r++) s += w[r][j] * x[r][i];
      o[i] = s;
    }
  }
}

std::vector<torch::Tensor> attend_bwd(torch::Tensor go, torch::Tensor q, torch::Tensor kv, torch::Tensor kp,
                                      torch::Tensor idx, torch::Tensor cnt, torch::Tensor p) {
  go = go.contiguous();
  int64_t N = q.size(0), H = q.size(1), R = kp.size(1), C = q.size(2) - R, V = kv.size(2) - C, K = idx.size(1);
  kv = kv.transpose(0, 1).contiguous(); // a head at a time, so that its rows do not share sets of the cache
  auto gq = torch::zeros_like(q), gkv = torch::zeros_like(kv), gkps = torch::zeros({H, N, R}, kp.options());
  const float *gp = data(go), *qp = data(q), *kvp = data(kv), *kpp = data(kp), *pp = data(p);
  const int32_t *ixp = ints(idx), *cn = ints(cnt);
  float *gqp = data(gq), *gkvp = data(gkv), *gkpp = data(gkps);
  parallel(H, [=](int64_t first, int64_t last) {
    constexpr int G = 4;
    std::vector<float> ds(G * K);
    for (int64_t h = first; h < last; h++) {
      const float *key = kvp + h * N * (C + V);
      float *gk = gkvp + h * N * (C + V), *gr = gkpp + h * N * R;
      for (int64_t n = 0; n < N;) {
        // Queries side by side whose lists begin alike, as dense ones do, are scattered together.
        const int32_t *ix = ixp + n * K;
        int64_t shared = cn[n];
        bool alike = n + G <= N;
        for (int r = 1; alike && r < G; r++)
          alike = cn[n + r] >= shared && !std::memcmp(ix, ix + r * K, shared * sizeof *ix);
        int rows = alike ? G : 1;
        const float *a[G], *rot[G], *g[G], *pr[G], *d[G];
        for (int r = 0; r < rows; r++) {
          int64_t at = (n + r) * H + h, m = cn[n + r];
          const int32_t *mine = ix + r * K;
          float *s = ds.data() + r * K, *ga = gqp + at * (C + R), mean = 0;
          a[r] = qp + at * (C + R), rot[r] = a[r] + C, g[r] = gp + at * V, pr[r] = pp + at * K, d[r] = s;
          std::fill(s, s + m, 0.f);
          dots(g[r], key + C, C + V, mine, m, V, s);
          for (int64_t j = 0; j < m; j++) mean += pr[r][j] * s[j];
          for (int64_t j = 0; j < m; j++) s[j] = pr[r][j] * (s[j] - mean);
          gather_sum(s, key, C + V, mine, m, C, ga);
          gather_sum(s, kpp, R, mine, m, R, ga + C);
        }
        if (alike) {
          scatter<G>(d, a, ix, shared, C, C + V, gk);
          scatter<G>(pr, g, ix, shared, V, C + V, gk + C);
          scatter<G>(d, rot, ix, shared, R, R, gr);
        }
        for (int r = 0; r < rows; r++) {
          int64_t from = alike ? shared : 0, m = cn[n + r] - from;
          const float *dr = d[r] + from, *wr = pr[r] + from;
          const int32_t *rest = ix + r * K + from;
          scatter<1>(&dr, a + r, rest, m, C, C + V, gk);
          scatter<1>(&wr, g + r, rest, m, V, C + V, gk + C);
          scatter<1>(&dr, rot + r, rest, m, R, R, gr);
        }
        n += rows;
      }
    }
  });
  return {gq, gkv.transpose(0, 1).contiguous(), gkps.sum(0)};
}

// Top-k of the index scores of a block of queries: s (H,n,T) products of indexer queries and keys, w (n,H).  Query i sees
// the keys 0 .. first + i.  Writes base + (position) of the k best into idx (n,K) and their number into cnt (n).
void select_keys(torch::Tensor s, torch::Tensor w, int64_t first, int64_t base, int64_t k, torch::Tensor idx,
            torch::Tensor cnt) {
  TORCH_CHECK(s.is_contiguous() && w.is_contiguous());
  int64_t H = s.size(0), n = s.size(1), T = s.size(2), K = idx.stride(0);
  std::vector<float> sum(T), sorted(T);
  for (int64_t i = 0; i < n; i++) {
    int64_t m = std::min(T, first + i + 1);
    std::fill(sum.begin(), sum.begin() + m, 0.f);
    for (int64_t h = 0; h < H; h++) {
      const float *a = data(s) + (h * n + i) * T;
      float wh = data(w)[i * H + h];
#pragma omp simd
      for (int64_t t = 0; t < m; t++) sum[t] += wh * (a[t] > 0 ? a[t] : 0);
    }
    int32_t *out = ints(idx) + i * K;
    int32_t c = 0;
    if (m <= k) {
      for (int64_t t = 0; t < m; t++) out[c++] = base + t;
    } else {
      std::copy(sum.begin(), sum.begin() + m, sorted.begin());
      std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.begin() + m, std::greater<float>());
      float least = sorted[k - 1];
      for (int64_t t = 0; t < m; t++)
        if (sum[t] > least) out[c++] = base + t;
      for (int64_t t = 0; t < m && c < k; t++)
        if (sum[t] == least) out[c++] = base + t;
    }
    ints(cnt)[i] = c;
  }
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("rms_fwd", &rms_fwd);
  m.def("rms_bwd", &rms_bwd);
  m.def("glu_fwd", &glu_fwd);
  m.def("glu_bwd", &glu_bwd);
  m.def("rope_", &rope_);
  m.def("attend_fwd", &attend_fwd);
  m.def("attend_bwd", &attend_bwd);
  m.def("select_keys", &select_keys);
}
