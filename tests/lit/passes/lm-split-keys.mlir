// Attention over parts of the keys, where a schedule of generated code splits them; a library cuts its work itself.
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-split-keys)' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-split-keys,lm-select-kernels{manifest=%inputs/codegen.json})' | FileCheck %s --check-prefix=SELECTED
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-split-keys,lm-split-keys)' | FileCheck %s

// What nobody has a kernel for is generated.
// SELECTED: lm.mla.merge_parts {{.*}}kernel = "generated"

lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %l = lm.input "hidden" width 512 as tensor<?x512xf32>
    %r = lm.input "hidden" width 64 as tensor<?x64xf32>
    %c = lm.mla.append %l, %r format "f8" as (tensor<?x512xf32>, tensor<?x64xf32>) -> !lm.cache<"latent">
    %ql = lm.input "hidden" width 512 as tensor<?x64x512xf32>
    %qr = lm.input "hidden" width 64 as tensor<?x64x64xf32>
    %i = lm.input "ids" as tensor<?x4xi32>
    // CHECK: %[[P:.*]] = lm.mla.attend_parts %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} parts 3 scale {{.*}} format "f8" schedule #lm.mla<code = generated, split = 3, order = keys> as {{.*}} -> tensor<?x64x3x514xf32>
    // CHECK: %[[O:.*]] = lm.mla.merge_parts %[[P]] {tap = ["attention"]} as (tensor<?x64x3x514xf32>) -> tensor<?x64x512xf32>
    %a = lm.mla.attend_latent %ql, %qr, %c, %i scale 0.5 format "f8" schedule #lm.mla<code = generated, split = 3, order = keys> {tap = ["attention"]} as (tensor<?x64x512xf32>, tensor<?x64x64xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x64x512xf32>
    // CHECK: lm.mla.attend_latent {{.*}} schedule #lm.mla<code = generated, keys = 64>
    %b = lm.mla.attend_latent %ql, %qr, %c scale 0.5 format "f8" schedule #lm.mla<code = generated, keys = 64> as (tensor<?x64x512xf32>, tensor<?x64x64xf32>, !lm.cache<"latent">) -> tensor<?x64x512xf32>
    // CHECK: lm.mla.attend_latent {{.*}} schedule #lm.mla<code = library, split = 3>
    %d = lm.mla.attend_latent %ql, %qr, %c scale 0.5 format "f8" schedule #lm.mla<code = library, split = 3> as (tensor<?x64x512xf32>, tensor<?x64x64xf32>, !lm.cache<"latent">) -> tensor<?x64x512xf32>
    // CHECK: lm.return ["hidden"] %[[O]]
    lm.return ["hidden"] %a : tensor<?x64x512xf32>
  }
}
