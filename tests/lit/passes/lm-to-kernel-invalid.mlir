// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-to-kernel)' --split-input-file --verify-diagnostics

// expected-error @below {{is not resolved; run lm-resolve first}}
lm.model @unresolved {
}

// -----

lm.model @no_kernel attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{has no kernel; run lm-select-kernels first}}
    %y = lm.add %x, %x as (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %y : tensor<?x4xf32>
  }
}

// -----

lm.model @no_copy attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{a carried value needs op 'copy' (plugins/abi/ops.md), for which the backend has no kernel}}
    %l = lm.layers (%h = %x : tensor<?x4xf32>) from 0 to 2 at "" {
      lm.yield %h : tensor<?x4xf32>
    }
    lm.return ["hidden"] %l : tensor<?x4xf32>
  }
}

// -----

lm.model @no_layers attributes {parameters = {}} {
  lm.entry @step {
    // expected-error @below {{runs no layer and carries nothing, so its results have no value}}
    %l = lm.layers () from 2 to 2 at "" {
      %x = lm.input "hidden" width 4 as tensor<?x4xf32>
      lm.yield %x : tensor<?x4xf32>
    }
    lm.return ["hidden"] %l : tensor<?x4xf32>
  }
}

// -----

lm.model @output_is_input attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{returns a step input; an output is the result of an op}}
    lm.return ["hidden"] %x : tensor<?x4xf32>
  }
}

// -----

// expected-error @below {{max-context is 0; the model's positions allow 1 to 0}}
lm.model @no_positions attributes {parameters = {max_position_embeddings = 0}} {
}
