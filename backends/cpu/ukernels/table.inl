// The functions of this instruction set by name. Included last.

static constexpr MatmulUkernels kUkernels = {
    .scratch = kDotScratch > kAccumulateScratch ? kDotScratch : kAccumulateScratch,
    .packed = Packed,
    .pack = Pack,
    .dot = Dot,
    .accumulate = Accumulate,
    .silu_mul = SiluMul,
};
