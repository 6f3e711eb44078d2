// RUN: modelc opt %s --split-input-file --verify-diagnostics

lm.model @route_c1 {
  lm.entry @step {
    %g = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C1) 3 groups do not divide 8 experts}}
    %w, %e = lm.moe.route %g "bias" groups 3 pick 2 top 3 scale 2.5 normalize 1 as (tensor<?x8xf32>) -> (tensor<?x3xf32>, tensor<?x3xi32>)
    lm.return ["hidden"] %w : tensor<?x3xf32>
  }
}

// -----

lm.model @route_c2 {
  lm.entry @step {
    %g = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C2) picks 5 of 4 groups}}
    %w, %e = lm.moe.route %g "bias" groups 4 pick 5 top 3 scale 2.5 normalize 1 as (tensor<?x8xf32>) -> (tensor<?x3xf32>, tensor<?x3xi32>)
    lm.return ["hidden"] %w : tensor<?x3xf32>
  }
}

// -----

lm.model @route_c3 {
  lm.entry @step {
    %g = lm.input "hidden" width 8 as tensor<?x8xf32>
    // expected-error @below {{(C3) wants 5 experts of 4}}
    %w, %e = lm.moe.route %g "bias" groups 4 pick 2 top 5 scale 2.5 normalize 1 as (tensor<?x8xf32>) -> (tensor<?x5xf32>, tensor<?x5xi32>)
    lm.return ["hidden"] %w : tensor<?x5xf32>
  }
}

// -----

lm.model @dispatch_experts {
  lm.entry @step {
    %e = lm.input "hidden" width 3 as tensor<?x3xi32>
    // expected-error @below {{'experts' is 0; want at least 1}}
    %o, %r, %s = lm.moe.dispatch %e experts 0 as (tensor<?x3xi32>) -> (tensor<1xi32>, tensor<?xi32>, tensor<?x3xi32>)
    lm.return ["hidden"] %s : tensor<?x3xi32>
  }
}

// -----

lm.model @grouped_up {
  lm.entry @step {
    %x = lm.input "hidden" width 6 as tensor<?x6xf32>
    %r = lm.input "hidden" width 1 as tensor<?xi32>
    %o = lm.input "hidden" width 9 as tensor<9xi32>
    // expected-error @below {{up weight 'u' is 'tensor<8x5x6xf32>', want 'tensor<8x4x6xf32>'}}
    %i = lm.grouped_linear_silu_mul %x, %r, %o <"g", "", tensor<8x4x6xf32>> <"u", "", tensor<8x5x6xf32>> as (tensor<?x6xf32>, tensor<?xi32>, tensor<9xi32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %i : tensor<?x4xf32>
  }
}

// -----

lm.model @grouped_width {
  lm.entry @step {
    %x = lm.input "hidden" width 6 as tensor<?x6xf32>
    %o = lm.input "hidden" width 9 as tensor<9xi32>
    // expected-error @below {{weight is not [experts, out, 6]}}
    %i = lm.grouped_linear %x, %o <"d", "", tensor<8x4x5xf32>> as (tensor<?x6xf32>, tensor<9xi32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %i : tensor<?x4xf32>
  }
}
