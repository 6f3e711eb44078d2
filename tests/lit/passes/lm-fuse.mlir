// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-fuse{manifest=%inputs/all-ops.json})' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-fuse{manifest=%inputs/all-ops.json keep-scores=1})' | FileCheck %s --check-prefix=KEEP
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-fuse{manifest=%inputs/no-fusions.json})' | FileCheck %s --check-prefix=NONE
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-fuse{manifest=%t.absent})' 2>&1 | FileCheck %s --check-prefix=ABSENT

// ABSENT: error: manifest: cannot open input file
lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %w = lm.input "hidden" width 2 as tensor<?x2xf32>

    // The sum goes on as the residual stream.
    // CHECK: %[[SUM:.*]], %[[OUT:.*]] = lm.add_rms_norm
    // CHECK: lm.add %[[SUM]], %[[OUT]]
    // NONE: lm.add
    // NONE: lm.rms_norm
    %s = lm.add %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %n = lm.rms_norm %s <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    %y = lm.add %s, %n as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>

    // A sum that people compare, or that something reads before the norm, stays.
    // CHECK: lm.add {{.*}} {tap = ["hidden"]}
    // CHECK: lm.rms_norm
    %t = lm.add %y, %y {tap = ["hidden"]} as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %u = lm.rms_norm %t <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    // CHECK: %[[V:.*]] = lm.add
    // CHECK: lm.hadamard %[[V]]
    // CHECK: lm.rms_norm %[[V]]
    %v = lm.add %u, %u as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %h = lm.hadamard %v as (tensor<?x8xf32>) -> tensor<?x8xf32>
    %z = lm.rms_norm %v <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>) -> tensor<?x8xf32>

    // So does a norm that people compare.
    // CHECK: lm.add
    // CHECK: lm.rms_norm {{.*}} {tap = ["normed"]}
    %a2 = lm.add %z, %z as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %n2 = lm.rms_norm %a2 <"n", "", tensor<8xf32>> eps 1.0e-6 {tap = ["normed"]} as (tensor<?x8xf32>) -> tensor<?x8xf32>

    // CHECK-NOT: lm.dsa.select
    // CHECK: lm.dsa.logits_select {{.*}} scale 5.000000e-01 format "f8" top 4 {tap = ["topk_indices"]}
    // KEEP: lm.dsa.logits
    // KEEP: lm.dsa.select
    // NONE: lm.dsa.logits
    // NONE: lm.dsa.select
    %k = lm.dsa.append %x format "f8" as (tensor<?x8xf32>) -> !lm.cache<"index">
    %l = lm.dsa.logits %q, %w, %k scale 0.5 format "f8" as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    %i = lm.dsa.select %l top 4 {tap = ["topk_indices"]} as (tensor<?x?xf32>) -> tensor<?x4xi32>

    // Scores that somebody else reads cannot go.
    // CHECK: lm.dsa.logits {{.*}}
    // CHECK: lm.dsa.select
    // CHECK: lm.dsa.select
    %m = lm.dsa.logits %q, %w, %k scale 0.5 format "f8" as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    %j = lm.dsa.select %m top 4 as (tensor<?x?xf32>) -> tensor<?x4xi32>
    %o = lm.dsa.select %m top 8 as (tensor<?x?xf32>) -> tensor<?x8xi32>
    lm.return ["hidden"] %z : tensor<?x8xf32>
  }
}
