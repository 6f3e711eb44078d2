// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen.json})' --split-input-file --verify-diagnostics

kernel.program @unknown limits [4, 4, 1, 1, 16, 4] parameters {hidden_size = 8} {
  kernel.buffer @x f32 ["T", 8]
  kernel.entry @step outputs {hidden = @x} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{there is no generated code for op 'think'}}
      kernel.launch "think" kernel "generated" ["hidden", @x] results 1 static {}
    }
  }
}

// -----

kernel.program @power limits [4, 4, 1, 1, 16, 4] parameters {hidden_size = 12} {
  kernel.buffer @x f32 ["T", 12]
  kernel.entry @step outputs {hidden = @x} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{generated code for op 'hadamard': transforms 12 values; want a power of two}}
      kernel.launch "hadamard" kernel "generated" ["hidden", @x] results 1 static {}
    }
  }
}

// -----

kernel.program @pages limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.cache @index layers 1 page_bytes 100 format "f8"
  kernel.buffer @q f32 ["T", 2, 32]
  kernel.buffer @w f32 ["T", 2]
  kernel.buffer @s f32 ["T", "C"]
  kernel.entry @step outputs {hidden = @s} {
    kernel.repeat 0 count 1 {
      // expected-error @below {{generated code for op 'dsa.logits': pages of 100 bytes; 32 values in format f8 make 2304}}
      kernel.launch "dsa.logits" kernel "generated" [@q, @w, "pos", "seq", "pages", @index, @s] results 1 static {format = "f8", scale = 1.0}
    }
  }
}
