// GLM-5: neighbour pairs in the indexer, plain frequencies, one group of experts, a prediction layer that shares the
// decoder's embedding and head.
// RUN: modelc opt %root/models/glm-5.mlir --until lm-plan | FileCheck %s --check-prefix PLAN
// RUN: modelc opt %root/models/glm-5.mlir --until kernel-plan-memory %manifest | FileCheck %s
// RUN: echo '{"index_topk_freq": 4, "index_topk": 2048}' > %t.json
// RUN: not modelc opt %root/models/glm-5.mlir --config %t.json --until lm-resolve 2>&1 | FileCheck %s --check-prefix SHARED

// PLAN: lm.layer_norm
// PLAN: lm.rope {{.*}} first 0 dim 64 pairs "interleaved" keep
// PLAN: lm.dsa.append
// PLAN: lm.rope {{.*}} first 0 dim 64 pairs "interleaved" keep
// PLAN: lm.dsa.logits

// CHECK: kernel.program @glm_5
// CHECK-DAG: kernel.cache @latent layers 79
// CHECK-DAG: kernel.cache @index layers 79
// CHECK-LABEL: kernel.entry @step
// CHECK: kernel.repeat 3 count 75
// CHECK: "moe.route" {{.*}} static {groups = 1 : i64
// CHECK-LABEL: kernel.entry @draft
// CHECK: kernel.repeat 0 count 1
// CHECK: "embed"
// CHECK: kernel.repeat 78 count 1

// SHARED: config has index_topk_freq = 4, this model file describes 1
