// The inner loops of the row, attention and indexer kernels, once per instruction set.
//
// They are written once, over vectors of `lanes` floats (*.inl), and compiled by portable.cpp, avx2.cpp, avx512.cpp and
// avx512_vnni.cpp with their own flags. They allocate nothing, keep no state and know no tensors: pointers and sizes
// alone. In every loop the arithmetic of one result does not depend on the results beside it, so a caller may cut its
// work as it likes.
#ifndef MODELC_BACKENDS_CPU_SIMD_SIMD_H_
#define MODELC_BACKENDS_CPU_SIMD_SIMD_H_

#include <cstdint>

#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

// Of a query rounded to int8: values are integers times `scale`; `lift` is what each lane of its sums begins with.
struct I8Query {
  float scale;
  int32_t lift;
};

struct Simd {
  Isa isa;      // the least that runs it
  int lanes;    // floats in a vector

  // Rows of n floats. `out` may be `x`.
  void (*add)(const float* a, const float* b, int64_t n, float* out);
  void (*multiply_add)(const float* x, float factor, int64_t n, float* sum);  // sum += factor * x
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t n, float* out);
  void (*layer_norm)(const float* x, const float* w, const float* b, float eps, int64_t n, float* out);
  void (*hadamard)(float* x, int64_t n);  // n a power of two; orthonormal, in place
  // Rotates `pairs` pairs by the angles of these cosines and sines: (2i, 2i + 1), or (i, i + pairs). Not in place.
  void (*rope_interleaved)(const float* x, const float* cosine, const float* sine, int64_t pairs, float* out);
  void (*rope_half)(const float* x, const float* cosine, const float* sine, int64_t pairs, float* out);
  void (*fake_quantize)(const float* x, int64_t n, float* out);

  // Conversions. to_e4m3 uses one scale for all n and returns it: 2^ceil(log2(max(amax, 1e-4) / 448)).
  float (*to_e4m3)(const float* x, int64_t n, uint8_t* out);
  // One scale for all n, returned: max(amax, 1e-4) / 127. Not finite: NaN is returned and zeros are written.
  float (*to_i8)(const float* x, int64_t n, int8_t* out);
  void (*from_e4m3)(const uint8_t* x, float scale, int64_t n, float* out);
  void (*to_bf16)(const float* x, int64_t n, uint16_t* out);
  void (*from_bf16)(const uint16_t* x, float scale, int64_t n, float* out);

  // s[key][col] = sum_d q[col][d] * k[key][d]
  //   q [cols, dims], k [keys, dims], s [keys, s_stride]
  void (*scores)(const float* q, int64_t cols, const float* k, int64_t keys, int64_t dims, float* s, int64_t s_stride);

  // One step of online softmax per column: masks keys at and beyond limit[col], multiplies by `scale`, updates the
  // running maximum and sum, and leaves the weights in s. factor[col] is what earlier sums must be multiplied by. cols is
  // a multiple of lanes.
  //   s [keys, s_stride], limit [cols] i32, max / sum / factor [cols]
  void (*softmax)(float* s, int64_t s_stride, int64_t cols, int64_t keys, float scale, const int32_t* limit, float* max,
                  float* sum, float* factor);

  // out[head][d] = factor[head] * out[head][d] + sum_key p[key][head] * k[key][d]
  //   p [keys, p_stride], k [keys, k_stride], out [heads, dims]
  void (*weighted_sum)(const float* p, int64_t p_stride, const float* k, int64_t k_stride, int64_t keys, int64_t heads,
                       int64_t dims, const float* factor, float* out);

  // The same of records of int8, whose products are sums of integers. What is packed has `lane_bytes` values in each
  // int32, as many of them, filled up with zeros, as make whole vectors: PackedLanes().
  int lane_bytes;
  // A query of n values, rounded to int8.
  I8Query (*pack_i8_latent)(const float* q, int64_t n, int32_t* out);
  void (*pack_i8_keys)(const int8_t* x, int64_t n, int32_t* out);
  // Two records' values of one dimension in each int32: out [n].
  void (*pack_i8_values)(const int8_t* a, const int8_t* b, int64_t n, int32_t* out);
  // s[key][col] = scale[col] * k_scale[key] * (sum_d q[col][d] * k[key][d] + sum_e q_rope[col][e] * k_rope[key][e])
  //   q [cols, lanes], k [keys, lanes] packed; q_rope [cols, rope], k_rope [keys, rope]; s [keys, s_stride]
  void (*scores_i8)(const int32_t* q, const I8Query* scales, const float* q_rope, int64_t cols, const int32_t* k,
                    const float* k_scale, const float* k_rope, int64_t keys, int64_t lanes, int64_t rope, float* s,
                    int64_t s_stride);
  // The same for queries side by side, in whole vectors of columns: nothing is added up across lanes. A column's sums begin
  // with `lift`, an I8Query's times the floats in a vector.
  //   q [lanes, q_stride], q_rope [rope, q_stride], scale and lift [cols]
  void (*scores_i8_columns)(const int32_t* q, int64_t q_stride, const float* scale, const int32_t* lift, const float* q_rope,
                            int64_t cols, const int32_t* k, const float* k_scale, const float* k_rope, int64_t keys,
                            int64_t lanes, int64_t rope, float* s, int64_t s_stride);
  // Weights times their keys' scales, rounded to fifteen bits of a column's largest; two keys of a column in each int32.
  // cols is a multiple of lanes.
  //   p [keys, p_stride], k_scale [keys], out [ceil(keys / 2), p_stride], scale [cols]
  void (*pack_weights)(const float* p, int64_t p_stride, int64_t cols, int64_t keys, const float* k_scale, int32_t* out,
                       float* scale);
  // out[head][d] = factor[head] * out[head][d] + p_scale[head] * sum_key p[key][head] * v[key][d]
  //   p [pairs, p_stride] and p_scale from pack_weights, v [pairs, v_stride] from pack_i8_values, out [heads, dims]
  void (*weighted_sum_i8)(const int32_t* p, int64_t p_stride, const float* p_scale, const int32_t* v, int64_t v_stride,
                          int64_t pairs, int64_t heads, int64_t dims, const float* factor, float* out);

  // The keys of a page, [64, dims], to what index_scores reads: sixteen keys side by side, [4, dims, 16]; of bytes (e4m3,
  // int8) four dimensions of a key stay together, [4, ⌈dims/4⌉, 16, 4], zeros at the end.
  void (*transpose_bytes)(const uint8_t* rows, int64_t dims, uint8_t* out);
  void (*transpose_bf16)(const uint16_t* rows, int64_t dims, float* out);
  void (*transpose_f32)(const float* rows, int64_t dims, float* out);

  // The lightning indexer: out[key] = sum_h w[h] * relu(sum_d q[h][d] * key[d]) for at least the first `keys` of a page.
  //   q [heads, dims], w [heads], k as transposed, out [64]
  void (*index_scores)(const float* q, const float* w, int64_t heads, const float* k, int64_t keys, int64_t dims,
                       float* out);
  bool (*has_e4m3_nan)(const uint8_t* p, int64_t n);
  // The same with dims a multiple of 4; `nan` where there may be one among the keys (has_e4m3_nan). Meanwhile fetches
  // 64 * dims bytes from `ahead`: the page that comes next, for the processor foresees nothing beyond 4 KiB.
  void (*index_scores_e4m3)(const float* q, const float* w, int64_t heads, const uint8_t* k, int64_t keys, int64_t dims,
                            bool nan, const uint8_t* ahead, float* out);
  // The same of int8 keys and queries: the sums over dimensions are integers, so w has the queries' scales in it.
  //   q [heads, dims / 2], each head's from pack_i8_query: n floats rounded and laid out, zeros up to dims; returns their
  //   scale, as to_i8 does
  float (*pack_i8_query)(const float* q, int64_t n, int64_t dims, int32_t* out);
  void (*index_scores_i8)(const int32_t* q, const float* w, int64_t heads, const uint8_t* k, int64_t keys, int64_t dims,
                          const uint8_t* ahead, float* out);

  // Appends the positions (first + i) and sort keys (topk.h) of those x[i] whose key is above `threshold`, in order;
  // returns how many. keys and positions have room for n + lanes.
  int64_t (*collect_above)(const float* x, int64_t n, int32_t first, uint32_t threshold, uint32_t* keys,
                           int32_t* positions);
  // How many of n keys are not below `least`.
  int64_t (*count_from)(const uint32_t* keys, int64_t n, uint32_t least);
  // Keeps, in order and in place, those of n candidates whose key is above `bound`, and the first `places` of those whose
  // key is `bound`; returns how many.
  int64_t (*keep_from)(uint32_t* keys, int32_t* positions, int64_t n, uint32_t bound, int64_t places);
};

// int32 that n values of int8 records take when packed.
inline int64_t PackedLanes(const Simd& simd, int64_t n) {
  const int64_t vector = simd.lanes * simd.lane_bytes;
  return (n + vector - 1) / vector * simd.lanes;
}

// The best for an instruction set.
const Simd& SimdFor(Isa isa);

// One per file.
extern const Simd kPortableSimd;
#if defined(__x86_64__)
extern const Simd kAvx2Simd, kAvx512Simd, kAvx512VnniSimd;
#endif

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_SIMD_SIMD_H_
