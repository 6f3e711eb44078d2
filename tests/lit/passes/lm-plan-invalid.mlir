// RUN: modelc opt %s --until lm-plan --split-input-file --verify-diagnostics

lm.model @latent_c1 {
  lm.rope_table @rope dim 2 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.entry @step {
    %kv = lm.input "hidden" width 9
    // expected-error @below {{(C1) the row is 'tensor<?x9xf32>'; want latent 8 + rope 2}}
    %c = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6
    lm.return ["hidden"] %kv
  }
}

// -----

lm.model @attend_c1 {
  lm.rope_table @rope dim 2 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.entry @step {
    %kv = lm.input "hidden" width 10
    %q = lm.linear %kv "q" to [3, 7]
    %c = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C1) q is 'tensor<?x3x7xf32>'; want [?, heads, 6]}}
    %o = lm.mla.attend %q, %c "kv_b" nope 4 value 5 rope @rope
    lm.return ["hidden"] %o
  }
}

// -----

lm.model @no_table {
  lm.entry @step {
    %kv = lm.input "hidden" width 10
    // expected-error @below {{names rope table @rope, which the model does not define}}
    %c = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6
    lm.return ["hidden"] %kv
  }
}

// -----

lm.model @no_inner {
  lm.entry @step {
    %x = lm.input "hidden" width 10
    // expected-error @below {{'inner' is 0; want at least 1}}
    %f = lm.ffn %x inner 0
    lm.return ["hidden"] %f
  }
}
