// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen.json})' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen.json},kernel-compile{manifest=%inputs/codegen.json})' | FileCheck %s --check-prefix=IMAGE

// IMAGE-NOT: func.func
// IMAGE: kernel.code @add_0 {{.*}} entry {{[0-9]+}} target "x86-64-v3" image "

// CHECK: kernel.code @moe_route_1 "moe.route"
// CHECK-SAME: {{.*}}grid {{.*}}"T", 1
// CHECK: func.func @moe_route_1(%{{.*}}: memref<?x8xf32>, %{{.*}}: memref<8xf32>, %{{.*}}: memref<?x2xf32>, %{{.*}}: memref<?x2xi32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: memref<?xi8>)
// One function for all launches of equal form.
// CHECK: kernel.code @add_0 "add"
// CHECK: func.func @add_0(%[[A:.*]]: memref<?x20xf32>, %[[B:.*]]: memref<?x20xf32>, %[[C:.*]]: memref<?x20xf32>, %[[FIRST:.*]]: index, %[[LAST:.*]]: index
// CHECK: scf.for %[[T:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK: scf.for
// CHECK: vector.load %[[A]][%[[T]], %{{.*}}] : memref<?x20xf32>, vector<8xf32>
// CHECK: arith.addf {{.*}} vector<8xf32>
// What whole vectors leave is one shorter vector.
// CHECK: vector.load %[[B]][%[[T]], %{{.*}}] : memref<?x20xf32>, vector<4xf32>
// CHECK-NOT: kernel.code
kernel.program @m limits [4, 4, 1, 1, 16, 8] parameters {hidden_size = 20} {
  kernel.weight @w0 "bias" scale "" : tensor<8xf32>
  kernel.buffer @x f32 ["T", 20]
  kernel.buffer @y f32 ["T", 20]
  kernel.buffer @l f32 ["T", 8]
  kernel.buffer @w f32 ["T", 2]
  kernel.buffer @e i32 ["T", 2]
  kernel.entry @step outputs {hidden = @y} {
    kernel.repeat 0 count 1 {
      // CHECK: kernel.launch "add" kernel "generated" code @add_0
      kernel.launch "add" kernel "generated" ["hidden", "hidden", @x] results 1 static {}
      // CHECK: kernel.launch "add" kernel "generated" code @add_0
      kernel.launch "add" kernel "generated" [@x, @x, @y] results 1 static {}
      kernel.launch "copy" kernel "copy" ["hidden", @l] results 1 static {}
      // CHECK: kernel.launch "moe.route" kernel "generated" code @moe_route_1
      kernel.launch "moe.route" kernel "generated" [@l, @w0, @w, @e] results 2 static {groups = 4, topk_group = 2, scale = 1.0, normalize = true}
    }
  }
}
