// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-plan-memory)' --split-input-file --verify-diagnostics

kernel.program @unwritten limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @a f32 ["T", 4]
  kernel.buffer @b f32 ["T", 4]
  kernel.entry @step outputs {logits = @b} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{reads @a, which nothing wrote before}}
      kernel.launch "copy" kernel "copy" [@a, @b] results 1 static {}
    }
  }
}

// -----

// Written in long contexts alone, read in all.
kernel.program @sometimes limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @a f32 ["T", 4]
  kernel.buffer @b f32 ["T", 4]
  kernel.entry @step outputs {logits = @b} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @a] results 1 static {} above 8
      // expected-error @below {{reads @a, which nothing wrote before}}
      kernel.launch "copy" kernel "copy" [@a, @b] results 1 static {}
    }
  }
}

// -----

// expected-error @below {{has an output that nothing writes}}
kernel.program @no_output limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @a f32 ["T", 4]
  kernel.entry @step outputs {logits = @a} {
  }
}

// -----

kernel.program @huge limits [1099511627776, 4, 1, 1, 1099511627776, 4] parameters {} {
  // expected-error @below {{is too large at the program's limits; lower max-rows or max-context}}
  kernel.buffer @a f32 ["T", "C"]
}
