// RUN: modelc opt %s --split-input-file --verify-diagnostics

kernel.program @buffer_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C1) dimension "X" is not a number, a size (T N S P C M) or a multiple such as "8*T"}}
  kernel.buffer @b0 f32 ["X", 8]
}

// -----

kernel.program @buffer_c1_factor limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C1) dimension "0*T" is not a number}}
  kernel.buffer @b0 f32 ["0*T"]
}

// -----

kernel.program @buffer_c2 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C2) type is 'f64'; want f32 or i32}}
  kernel.buffer @b0 f64 ["T"]
}

// -----

kernel.program @weight_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C1) converts to 'f32'; want bf16, int8 or int4}}
  kernel.weight @w0 "a" scale "" to "f32" : tensor<4x8xbf16>
}

// -----

kernel.program @entry_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C1) output "logits" is not a buffer of the program}}
  kernel.entry @step outputs {logits = @b0} {
  }
}

// -----

kernel.program @repeat_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  kernel.entry @step outputs {} {
    // expected-error @below {{(C1) runs 0 layers from 3}}
    kernel.repeat 3 count 0 {
    }
  }
}

// -----

kernel.program @launch_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  kernel.entry @step outputs {} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{(C1) "pixels" is neither a symbol of the program nor a step input}}
      kernel.launch "add" kernel "add" ["pixels"] results 0 static {}
    }
  }
}

// -----

kernel.program @launch_results limits [1, 1, 1, 1, 1, 1] parameters {} {
  kernel.entry @step outputs {} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{has 1 tensors and 2 results}}
      kernel.launch "add" kernel "add" ["ids"] results 2 static {}
    }
  }
}

// -----

kernel.program @limits limits [1, 1] parameters {} {
  // expected-error @above {{(C1) has 2 limits; want one each for T N S P C M}}
}

// -----

kernel.program @taps limits [1, 1, 1, 1, 1, 1] parameters {} {
  kernel.buffer @b0 f32 ["T"]
  kernel.entry @step outputs {} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{(C2) taps 2 of 1 results}}
      kernel.launch "copy" kernel "copy" ["hidden", @b0] results 1 static {} tap ["a", "b"]
    }
  }
}

// -----

kernel.program @code_c1 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C1) tensor ["T", 8] is neither unit nor a type and sizes}}
  kernel.code @k0 "copy" tensors [["T", 8]] grid [] scratch 0 {}
}

// -----

kernel.program @code_c2 limits [1, 1, 1, 1, 1, 1] parameters {} {
  // expected-error @below {{(C2) grid dimension ["T", 0] is not [size, count]}}
  kernel.code @k0 "copy" tensors [[f32, "T"]] grid [["T", 0]] scratch 0 {}
}
