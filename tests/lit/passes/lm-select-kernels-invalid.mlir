// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-select-kernels{manifest=%inputs/choice.json})' --split-input-file --verify-diagnostics

lm.model @none attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{backend 'cpu' cannot run this model: it has no kernel for 'add'; its kernel 'norm16' for 'rms_norm' wants K >= 0 or D == 16, here D = 8; write them (plugins/abi/ops.md), or choose another --backend}}
    %y = lm.rms_norm %x <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    %z = lm.add %y, %y as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %z : tensor<?x8xf32>
  }
}

// -----

lm.model @composite attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{is a composite; run lm-absorb-mla and lm-plan first}}
    %y = lm.ffn %x inner 4 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %y : tensor<?x8xf32>
  }
}

// -----

// A kernel whose entry does not name a format is not given it.
lm.model @format attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 128 as tensor<?x128xf32>
    // expected-error @below {{for 'linear' wants}}
    %y = lm.linear %x <"a", "s", tensor<8x128xf8E4M3FN>, "int8"> to [8] act "int8_1x128" as (tensor<?x128xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %y : tensor<?x8xf32>
  }
}
