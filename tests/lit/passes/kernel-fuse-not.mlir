// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-fuse{manifest=%inputs/codegen.json})' --split-input-file | FileCheck %s

// Who else wants what is between keeps two launches apart: another reader, an output, people who compare it, another
// condition, other rows.
// CHECK-NOT: "fused"
kernel.program @reader limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @x f32 ["T", 8]
  kernel.buffer @y f32 ["T", 8]
  kernel.buffer @z f32 ["T", 8]
  kernel.entry @step outputs {hidden = @z} {
    kernel.repeat 0 count 1 {
      kernel.launch "hadamard" kernel "h" ["hidden", @x] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@x, @y] results 1 static {}
      kernel.launch "linear" kernel "l" [@x, @y, @z] results 1 static {}
    }
  }
}

// -----

kernel.program @output limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @w f32 ["T", 8]
  kernel.buffer @x f32 ["T", 8]
  kernel.buffer @y f32 ["T", 8]
  kernel.entry @step outputs {hidden = @x} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @w] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@w, @x] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@x, @y] results 1 static {}
    }
  }
}

// -----

kernel.program @tap limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @w f32 ["T", 8]
  kernel.buffer @x f32 ["T", 8]
  kernel.buffer @y f32 ["T", 8]
  kernel.buffer @z f32 ["T", 8]
  kernel.entry @step outputs {hidden = @z} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @w] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@w, @x] results 1 static {} tap ["hidden"]
      kernel.launch "hadamard" kernel "h" [@x, @y] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@y, @z] results 1 static {} above 4
    }
  }
}

// -----

// The maker would have to move behind a launch that writes what it reads.
kernel.program @between limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @w f32 ["T", 8]
  kernel.buffer @x f32 ["T", 8]
  kernel.buffer @y f32 ["T", 8]
  kernel.entry @step outputs {hidden = @y} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @w] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@w, @x] results 1 static {}
      kernel.launch "copy" kernel "copy" ["hidden", @w] results 1 static {}
      kernel.launch "hadamard" kernel "h" [@x, @y] results 1 static {}
    }
  }
}
