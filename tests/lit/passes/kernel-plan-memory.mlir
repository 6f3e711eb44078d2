// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-plan-memory)' --split-input-file | FileCheck %s

// A chain needs two buffers at a time.
// CHECK: kernel.program @chain {{.*}} arena 128 live 128
// CHECK: kernel.buffer @a {{.*}} at [[A:.*]] bytes 64
// CHECK: kernel.buffer @b {{.*}} at [[B:.*]] bytes 64
// CHECK: kernel.buffer @c {{.*}} at [[A]] bytes 64
// CHECK: kernel.buffer @d {{.*}} at [[B]] bytes 64
kernel.program @chain limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @a f32 ["T", 4]
  kernel.buffer @b f32 ["T", 4]
  kernel.buffer @c f32 ["T", 4]
  kernel.buffer @d f32 ["T", 4]
  kernel.entry @step outputs {logits = @d} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @a] results 1 static {}
      kernel.launch "copy" kernel "copy" [@a, @b] results 1 static {}
      kernel.launch "copy" kernel "copy" [@b, @c] results 1 static {}
      kernel.launch "copy" kernel "copy" [@c, @d] results 1 static {}
    }
  }
}

// -----

// Offsets are aligned to 64 bytes, sizes those of the largest step; an i32 [C] beside a f32 [2*T, 3].
// CHECK: kernel.program @sizes {{.*}} arena 192 live 192
// CHECK: kernel.buffer @a i32 ["C"] at {{0|128}} bytes 20
// CHECK: kernel.buffer @b f32 ["2*T", 3] at {{0|64}} bytes 96
kernel.program @sizes limits [4, 4, 1, 1, 5, 4] parameters {} {
  kernel.buffer @a i32 ["C"]
  kernel.buffer @b f32 ["2*T", 3]
  kernel.entry @step outputs {logits = @a, hidden = @b} {
    kernel.repeat 0 count 1 {
      kernel.launch "f" kernel "f" ["hidden", @a, @b] results 2 static {}
    }
  }
}

// -----

// What a layer reads that was made before the repeat is needed until its last run: @x never gives its place away, though @t is made
// after the last reader in the text. What is carried (@h) is needed through the back edge; between its last reader and its
// writer it may share.
// CHECK: kernel.program @loop {{.*}} arena 256 live 256
// CHECK: kernel.buffer @x {{.*}} at [[X:.*]] bytes 64
// CHECK: kernel.buffer @h {{.*}} at [[H:.*]] bytes 64
// CHECK: kernel.buffer @s {{.*}} at [[S:.*]] bytes 64
// CHECK: kernel.buffer @t {{.*}} at [[H]] bytes 64
// CHECK-NOT: at [[X]] bytes
// CHECK: kernel.entry
kernel.program @loop limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @x f32 ["T", 4]
  kernel.buffer @h f32 ["T", 4]
  kernel.buffer @s f32 ["T", 4]
  kernel.buffer @t f32 ["T", 4]
  kernel.buffer @u f32 ["T", 4]
  kernel.entry @step outputs {logits = @h} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @x] results 1 static {}
      kernel.launch "copy" kernel "copy" [@x, @h] results 1 static {}
    }
    kernel.repeat 0 count 3 {
      kernel.launch "add" kernel "add" [@x, @h, @s] results 1 static {}
      kernel.launch "copy" kernel "copy" [@s, @t] results 1 static {}
      kernel.launch "add" kernel "add" [@s, @t, @u] results 1 static {}
      kernel.launch "copy" kernel "copy" [@u, @h] results 1 static {}
    }
  }
}

// -----

// The same body once: @x is free after its reader.
// CHECK: kernel.program @once {{.*}} arena 192 live 192
kernel.program @once limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @x f32 ["T", 4]
  kernel.buffer @h f32 ["T", 4]
  kernel.buffer @s f32 ["T", 4]
  kernel.buffer @t f32 ["T", 4]
  kernel.buffer @u f32 ["T", 4]
  kernel.entry @step outputs {logits = @h} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @x] results 1 static {}
      kernel.launch "copy" kernel "copy" [@x, @h] results 1 static {}
      kernel.launch "add" kernel "add" [@x, @h, @s] results 1 static {}
      kernel.launch "copy" kernel "copy" [@s, @t] results 1 static {}
      kernel.launch "add" kernel "add" [@s, @t, @u] results 1 static {}
      kernel.launch "copy" kernel "copy" [@u, @h] results 1 static {}
    }
  }
}

// -----

// Long contexts write @o with one launch, short ones with another much later: @o is needed from the first on, so @t, made between,
// stays clear of it. Short contexts never write @s, so nothing waits for it there.
// CHECK: kernel.program @conditions {{.*}} arena 192 live 192
// CHECK: kernel.buffer @o {{.*}} at [[O:.*]] bytes 64
// CHECK-NEXT: kernel.buffer @s {{.*}} bytes 64
// CHECK-NOT: at [[O]] bytes
// CHECK: kernel.entry
kernel.program @conditions limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @o f32 ["T", 4]
  kernel.buffer @s f32 ["T", 4]
  kernel.buffer @t f32 ["T", 4]
  kernel.buffer @u f32 ["T", 4]
  kernel.entry @step outputs {logits = @o} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @s] results 1 static {} above 8
      kernel.launch "copy" kernel "copy" [@s, @o] results 1 static {} above 8
      kernel.launch "copy" kernel "copy" ["hidden", @t] results 1 static {}
      kernel.launch "copy" kernel "copy" [@t, @u] results 1 static {}
      kernel.launch "copy" kernel "copy" [@u, @o] results 1 static {} at_most 8
    }
  }
}

// -----

// Entries run one at a time and share the arena.
// CHECK: kernel.program @entries {{.*}} arena 64 live 64
kernel.program @entries limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.buffer @a f32 ["T", 4]
  kernel.entry @step outputs {logits = @a} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @a] results 1 static {}
    }
  }
  kernel.buffer @b f32 ["T", 4]
  kernel.entry @draft outputs {logits = @b} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @b] results 1 static {}
    }
  }
}
