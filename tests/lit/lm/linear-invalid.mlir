// RUN: modelc opt %s --split-input-file --verify-diagnostics

lm.model @embed_c1 {
  lm.entry @step {
    %ids = lm.input "ids" as tensor<?xi32>
    // expected-error @below {{(C1) 'to' has 1 sizes; want [vocabulary, width]}}
    %x = lm.embed %ids "t" to [16] as (tensor<?xi32>) -> tensor<?x16xf32>
    lm.return ["logits"] %x : tensor<?x16xf32>
  }
}

// -----

lm.model @linear_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) 'to' has 3 sizes; want one or two}}
    %y = lm.linear %x "w" to [2, 2, 2] as (tensor<?x8xf32>) -> tensor<?x2x2x2xf32>
    lm.return ["logits"] %y : tensor<?x2x2x2xf32>
  }
}

// -----

lm.model @linear_c1_zero {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) 'to' has a size of 0; want at least 1}}
    %y = lm.linear %x "w" to [0] as (tensor<?x8xf32>) -> tensor<?x0xf32>
    lm.return ["logits"] %y : tensor<?x0xf32>
  }
}

// -----

lm.model @linear_c2 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x?xf32>
    // expected-error @below {{(C2) x is 'tensor<?x?xf32>'; its width must be known}}
    %y = lm.linear %x "w" to [4] as (tensor<?x?xf32>) -> tensor<?x4xf32>
    lm.return ["logits"] %y : tensor<?x4xf32>
  }
}

// -----

lm.model @linear_c3 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C3) weight 'a.weight' is 'tensor<4x9xbf16>', want 'tensor<4x8xbf16>'}}
    %y = lm.linear %x <"a.weight", "", tensor<4x9xbf16>> to [4] as (tensor<?x8xf32>) -> tensor<?x4xf32>
    lm.return ["logits"] %y : tensor<?x4xf32>
  }
}

// -----

lm.model @linear_result {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{result 0 is 'tensor<?x5xf32>', its operands make it 'tensor<?x4xf32>'}}
    %y = lm.linear %x "w" to [4] as (tensor<?x8xf32>) -> tensor<?x5xf32>
    lm.return ["logits"] %y : tensor<?x5xf32>
  }
}

// -----

lm.model @linear_silu_mul_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) up weight 'u' is 'tensor<6x7xf32>', want 'tensor<6x8xf32>'}}
    %y = lm.linear_silu_mul %x <"g", "", tensor<6x8xf32>> <"u", "", tensor<6x7xf32>> inner 6 as (tensor<?x8xf32>) -> tensor<?x6xf32>
    lm.return ["logits"] %y : tensor<?x6xf32>
  }
}

// -----

lm.model @head_linear_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) x is 'tensor<?x8xf32>'; want [?, heads, width]}}
    %y = lm.head_linear %x <"b", "", tensor<8x5xf32>> x_first 0 x_count 5 first 0 count 2 as (tensor<?x8xf32>) -> tensor<?x2xf32>
    lm.return ["logits"] %y : tensor<?x2xf32>
  }
}

// -----

lm.model @head_linear_c2 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x3x4xf32>
    // expected-error @below {{(C2) 3 heads do not divide the weight's rows}}
    %y = lm.head_linear %x <"b", "", tensor<8x4xf32>> x_first 0 x_count 4 first 0 count 2 as (tensor<?x3x4xf32>) -> tensor<?x3x2xf32>
    lm.return ["logits"] %y : tensor<?x3x2xf32>
  }
}

// -----

lm.model @head_linear_c3 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x3x4xf32>
    // expected-error @below {{(C3) takes values or weight rows beyond the end}}
    %y = lm.head_linear %x <"b", "", tensor<9x4xf32>> x_first 0 x_count 4 first 2 count 2 as (tensor<?x3x4xf32>) -> tensor<?x3x2xf32>
    lm.return ["logits"] %y : tensor<?x3x2xf32>
  }
}

// -----

lm.model @head_linear_c4 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x3x4xf32>
    // expected-error @below {{(C4) takes 3 values a head, the weight contracts 4}}
    %y = lm.head_linear %x <"b", "", tensor<9x4xf32>> x_first 0 x_count 3 first 0 count 2 as (tensor<?x3x4xf32>) -> tensor<?x3x2xf32>
    lm.return ["logits"] %y : tensor<?x3x2xf32>
  }
}

// -----

lm.model @rms_norm_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) norms values 4 to 9 of a row of 8}}
    %y = lm.rms_norm %x "n" eps 1.0e-6 first 4 width 5 as (tensor<?x8xf32>) -> tensor<?x5xf32>
    lm.return ["logits"] %y : tensor<?x5xf32>
  }
}

// -----

lm.model @add_rms_norm_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %z = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{(C1) operands are 'tensor<?x8xf32>' and 'tensor<?x4xf32>'}}
    %s, %y = lm.add_rms_norm %x, %z "n" eps 1.0e-6 as (tensor<?x8xf32>, tensor<?x4xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @add_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %z = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{(C1) operands are 'tensor<?x8xf32>' and 'tensor<?x4xf32>'}}
    %y = lm.add %x, %z as (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @rope_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) has 1 frequencies for dim 4}}
    %y = lm.rope %x array<f32: 1.0> first 0 dim 4 pairs "half" keep as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @rope_c2 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C2) rotates values beyond the row's end}}
    %y = lm.rope %x array<f32: 1.0, 0.5> first 6 dim 4 pairs "half" keep as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @rope_c3 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C3) pairs is 'thirds'; want interleaved or half}}
    %y = lm.rope %x array<f32: 1.0> first 0 dim 2 pairs "thirds" keep as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @hadamard_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 6 as tensor<?x6xf32>
    // expected-error @below {{(C1) transforms 6 values; want a power of two}}
    %y = lm.hadamard %x as (tensor<?x6xf32>) -> tensor<?x6xf32>
    lm.return ["logits"] %y : tensor<?x6xf32>
  }
}

// -----

lm.model @missing_clause {
  lm.entry @step {
    %x = lm.input "hidden" width 8
    // expected-error @below {{requires attribute 'eps'}}
    %y = lm.rms_norm %x "n"
    lm.return ["logits"] %y
  }
}

// -----

lm.model @too_many_values {
  lm.entry @step {
    %x = lm.input "hidden" width 8
    // expected-error @below {{takes at most 1 values, has 2}}
    %y = lm.linear %x, %x "n" to [4]
    lm.return ["logits"] %y
  }
}

// -----

lm.model @norm_of_heads {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x2x4xf32>
    // expected-error @below {{takes 'tensor<?x2x4xf32>'; want rows of one dimension, [?, width]}}
    %y = lm.rms_norm %x <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x2x4xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @rope_c2_negative {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C2) rotates values beyond the row's end}}
    %y = lm.rope %x array<f32: 1.0> first -1 dim 2 pairs "half" keep as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}
