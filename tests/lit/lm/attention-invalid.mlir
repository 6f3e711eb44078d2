// RUN: modelc opt %s --split-input-file --verify-diagnostics

lm.model @append_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) format is 'int8'; want f8, i8, bf16 or f32}}
    %c = lm.mla.append %x, %x format "int8" as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    lm.return ["hidden"] %x : tensor<?x8xf32>
  }
}

// -----

lm.model @index_append_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) format is 'int8'; want f8, i8, bf16 or f32}}
    %c = lm.dsa.append %x format "int8" as (tensor<?x8xf32>) -> !lm.cache<"index">
    lm.return ["hidden"] %x : tensor<?x8xf32>
  }
}

// -----

lm.model @attend_latent_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // expected-error @below {{(C1) the query is 'tensor<?x2x8xf32>', q_rope is 'tensor<?x8xf32>'; want [?, heads, width] both}}
    %a = lm.mla.attend_latent %q, %x, %c scale 0.125 as (tensor<?x2x8xf32>, tensor<?x8xf32>, !lm.cache<"latent">) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}

// -----

lm.model @attend_latent_c2 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // expected-error @below {{(C2) sel is 'tensor<?x2x8xf32>'; want [?, k]}}
    %a = lm.mla.attend_latent %q, %q, %c, %q scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">, tensor<?x2x8xf32>) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}

// -----

lm.model @attend_expanded_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // expected-error @below {{(C1) takes 9 values of 'tensor<?x2x8xf32>'}}
    %a = lm.mla.attend_expanded %q, %q, %c <"w", "", tensor<24x8xf32>> nope 9 scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">) -> tensor<?x2x3xf32>
    lm.return ["hidden"] %a : tensor<?x2x3xf32>
  }
}

// -----

lm.model @attend_expanded_c3 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // expected-error @below {{(C3) the weight gives 2 heads no more than 4 rows each}}
    %a = lm.mla.attend_expanded %q, %q, %c <"w", "", tensor<8x8xf32>> nope 4 scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">) -> tensor<?x2x3xf32>
    lm.return ["hidden"] %a : tensor<?x2x3xf32>
  }
}

// -----

lm.model @attend_parts_c3 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // expected-error @below {{(C3) parts is 0; want 1 to 64}}
    %a = lm.mla.attend_parts %q, %q, %c parts 0 scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">) -> tensor<?x2x1x10xf32>
    lm.return ["hidden"] %a : tensor<?x2x1x10xf32>
  }
}

// -----

lm.model @merge_parts_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) x is 'tensor<?x8xf32>'; want [?, heads, parts, latent + 2]}}
    %a = lm.mla.merge_parts %x as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %a : tensor<?x8xf32>
  }
}

// -----

lm.model @logits_c1 {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %k = lm.dsa.append %x as (tensor<?x8xf32>) -> !lm.cache<"index">
    // expected-error @below {{(C1) q is 'tensor<?x8xf32>', w is 'tensor<?x8xf32>'; want [?, heads, dim] and [?, heads]}}
    %s = lm.dsa.logits %x, %x, %k scale 0.5 as (tensor<?x8xf32>, tensor<?x8xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    lm.return ["hidden"] %x : tensor<?x8xf32>
  }
}

// -----

lm.model @select_c1 {
  lm.entry @step {
    %s = lm.input "hidden" width 8 as tensor<?x?xf32>
    // expected-error @below {{(C1) keeps 65537 positions; want 1 to 65536}}
    %i = lm.dsa.select %s top 65537 as (tensor<?x?xf32>) -> tensor<?x65537xi32>
    lm.return ["hidden"] %s : tensor<?x?xf32>
  }
}

// -----

lm.model @wrong_cache {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %k = lm.dsa.append %x as (tensor<?x8xf32>) -> !lm.cache<"index">
    // expected-error @below {{operand #2 must be latent cache handle}}
    %a = lm.mla.attend_latent %q, %q, %k scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"index">) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}

// -----

lm.model @cache_kind {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{cache 'values' is neither latent nor index}}
    %k = lm.dsa.append %x as (tensor<?x8xf32>) -> !lm.cache<"values">
    lm.return ["hidden"] %x : tensor<?x8xf32>
  }
}

// -----

lm.model @block_scores_c1 {
  lm.entry @step {
    %s = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) block is 0; want 1 to 65536}}
    %b = lm.dsa.block_scores %s block 0 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %s : tensor<?x8xf32>
  }
}

// -----

lm.model @window_scores_c1 {
  lm.entry @step {
    %s = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) window is 65537; want 1 to 65536}}
    %b = lm.dsa.window_scores %s window 65537 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %s : tensor<?x8xf32>
  }
}

// -----

lm.model @format_kind {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{attribute 'format' failed to satisfy constraint: string attribute}}
    %c = lm.mla.append %x, %x format 8 as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    lm.return ["hidden"] %x : tensor<?x8xf32>
  }
}
