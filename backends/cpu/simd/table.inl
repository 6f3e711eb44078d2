// The loops of this instruction set by name. Included last, with MODELC_SIMD_ISA set.

static constexpr Simd kSimd = {
    .isa = MODELC_SIMD_ISA,
    .lanes = kLanes,
    .add = Add,
    .multiply_add = MultiplyAddRow,
    .rms_norm = RmsNorm,
    .layer_norm = LayerNorm,
    .hadamard = Hadamard,
    .fake_quantize = FakeQuantize,
    .to_e4m3 = ToE4M3Row,
    .from_e4m3 = FromE4M3Row,
    .to_bf16 = ToBf16Row,
    .from_bf16 = FromBf16Row,
    .scores = Scores,
    .softmax = Softmax,
    .weighted_sum = WeightedSum,
    .index_scores = IndexScores,
    .collect_above = CollectAbove,
};
