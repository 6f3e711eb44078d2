// RUN: modelc opt %s --until lm-resolve --config %inputs/small.json --split-input-file --verify-diagnostics

// expected-error @below {{config has layers = 3, this model file describes 4; use a model file for that architecture}}
lm.model @expects expects {layers = 4} {
}

// -----

lm.model @missing_key {
  lm.param @hidden_size = 1
  // expected-error @below {{config key 'vocab_size' is missing; add it to config.json}}
  lm.param @vocab_size = 10
}

// -----

lm.model @undefined {
  lm.param @hidden_size = 1
  // expected-error @below {{uses @depth, which is not defined above it}}
  lm.param @area = @hidden_size * @depth
}

// -----

lm.model @undefined_size {
  lm.entry @step {
    // expected-error @below {{uses parameter @width, which the model does not define}}
    %x = lm.input "hidden" width @width
    lm.return ["hidden"] %x
  }
}

// -----

lm.model @recursion {
  lm.block @a(%x) at "" {
    // expected-error @below {{is one of more than 10000 calls; does a block call itself?}}
    %y = lm.call @a(%x)
    lm.yield %y
  }
  lm.entry @step {
    %x = lm.input "hidden" width 4
    %y = lm.call @a(%x)
    lm.return ["hidden"] %y
  }
}

// -----

lm.model @wrong_shapes {
  lm.entry @step {
    %x = lm.input "hidden" width 4
    %y = lm.input "hidden" width 5
    // expected-error @below {{(C1) operands are 'tensor<?x4xf32>' and 'tensor<?x5xf32>'}}
    %z = lm.add %x, %y
    lm.return ["hidden"] %z
  }
}

// -----

// expected-error @below {{the file holds 0 lm.model ops; want one}}
module {
}

// -----

lm.model @pairs {
  lm.rope_table @rope dim 4 theta 10000
  lm.entry @step {
    %x = lm.input "hidden" width 8
    // expected-error @below {{(C1) pairs is 'thirds'; want interleaved or half}}
    %k = lm.dsa.key %x "wk" "k_norm" dim 8 rope @rope pairs "thirds" eps 1.0e-6
    lm.return ["hidden"] %x
  }
}

// -----

lm.model @latent_format {
  lm.rope_table @rope dim 4 theta 10000
  lm.entry @step {
    %x = lm.input "hidden" width 12
    // expected-error @below {{(C2) format is 'f16'; want f8, i8, bf16 or f32}}
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6 format "f16"
    lm.return ["hidden"] %x
  }
}
