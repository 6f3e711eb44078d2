// RUN: modelc opt %s --split-input-file --verify-diagnostics

lm.model @param_c2 {
  lm.param @a = 1
  // expected-error @below {{(C2) a computed parameter takes nothing from the config; drop 'from'}}
  lm.param @b = @a + 1 from "b"
}

// -----

lm.model @param_value {
  // expected-error @below {{expected a number or a parameter such as @hidden_size}}
  lm.param @a = "wide"
}

// -----

lm.model @rope_c1 {
  // expected-error @below {{(C1) yarn has 4 numbers; want [factor, original, beta_fast, beta_slow, mscale_all_dim]}}
  lm.rope_table @rope dim 4 theta 10000 yarn [1, 1, 1, 1]
}

// -----

lm.model @rope_c2 {
  // expected-error @below {{(C2) dim is 5; it must be even and positive}}
  lm.rope_table @rope dim 5 theta 10000 yarn [1, 1, 1, 1, 0]
}

// -----

lm.model @call_c1 {
  lm.entry @step {
    %x = lm.input "ids"
    // expected-error @below {{(C1) there is no block @attention}}
    %y = lm.call @attention(%x)
    lm.return ["logits"] %y
  }
}

// -----

lm.model @call_c1_values {
  lm.block @b(%x) at "" {
    lm.yield %x
  }
  lm.entry @step {
    %x = lm.input "ids"
    // expected-error @below {{(C1) gives 2 values, @b takes 1}}
    %y = lm.call @b(%x, %x)
    lm.return ["logits"] %y
  }
}

// -----

lm.model @call_c2 {
  lm.block @b(%x) at "" {
    lm.yield %x, %x
  }
  lm.entry @step {
    %x = lm.input "ids"
    // expected-error @below {{(C2) has 1 results, @b yields 2}}
    %y = lm.call @b(%x)
    lm.return ["logits"] %y
  }
}

// -----

lm.model @layers_c3 {
  lm.entry @step {
    %x = lm.input "ids"
    // expected-error @below {{(C3) runs from 3 to 2}}
    %y = lm.layers (%h = %x) from 3 to 2 at "" {
      lm.yield %h
    }
    lm.return ["logits"] %y
  }
}

// -----

lm.model @layers_c4 {
  lm.entry @step {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // expected-error @below {{(C4) runs 2 layers, so it must yield the types it carries}}
    %y = lm.layers (%h = %x : tensor<?x4xf32>) from 0 to 2 at "" {
      %z = lm.concat %h, %h as (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
      lm.yield %z : tensor<?x8xf32>
    }
    lm.return ["logits"] %y : tensor<?x8xf32>
  }
}

// -----

lm.model @layers_c5 {
  lm.entry @step {
    %x = lm.input "ids"
    %y = lm.layers (%h = %x) from 0 to 3 at "outer" {
      // expected-error @below {{(C5) stands inside another lm.layers; a stack of layers cannot hold a stack}}
      %z = lm.layers (%g = %h) from 0 to 2 at "inner" {
        lm.yield %g
      }
      lm.yield %z
    }
    lm.return ["logits"] %y
  }
}

// -----

lm.model @return_c1 {
  lm.entry @step {
    %x = lm.input "ids"
    // expected-error @below {{(C1) has 2 names and 1 values}}
    lm.return ["logits", "hidden"] %x
  }
}

// -----

lm.model @input_c1 {
  lm.entry @step {
    // expected-error @below {{(C1) kind is 'pixels'; it must be ids or hidden}}
    %x = lm.input "pixels"
    lm.return ["logits"] %x
  }
}

// -----

lm.model @input_c2 {
  lm.entry @step {
    // expected-error @below {{(C2) hidden has a width, ids has none}}
    %x = lm.input "hidden"
    lm.return ["logits"] %x
  }
}

// -----

// expected-error @below {{custom op 'lm.mystery' is unknown}}
lm.mystery
