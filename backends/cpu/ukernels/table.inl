// The functions of this instruction set by name. Included last.

static void Pack(modelc_dtype dtype, const float* x, int64_t k, float* out) {
  switch (dtype) {
    case MODELC_INT8:
      return PackIntegers<Int8>(x, k, out);
    case MODELC_INT4:
      return PackIntegers<Int4>(x, k, out);
    default:
      return PackFloats(dtype, x, k, out);
  }
}

static void Dot(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch) {
  switch (w.dtype) {
    case MODELC_INT8:
      return DotIntegers<Int8>(w, x, out, scratch);
    case MODELC_INT4:
      return DotIntegers<Int4>(w, x, out, scratch);
    default:
      return DotFloats(w, x, out, scratch);
  }
}

constexpr size_t Larger(size_t a, size_t b) { return a > b ? a : b; }

static constexpr MatmulUkernels kUkernels = {
    .scratch = Larger(Larger(kDotScratch, kAccumulateScratch), kIntegersScratch),
    .packed = Packed,
    .pack = Pack,
    .dot = Dot,
    .accumulate = Accumulate,
    .silu_mul = SiluMul,
};
