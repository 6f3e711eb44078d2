// DeepSeek-V3.1: no indexer, so no index cache, no selection, and attention at every depth in one launch.
// RUN: modelc opt %root/models/v3.1.mlir --until kernel-plan-memory %manifest | FileCheck %s

// CHECK: kernel.program @deepseek_v3_1
// CHECK-NOT: kernel.cache @index
// CHECK-DAG: kernel.cache @latent layers 62 page_bytes 41984 format "f8"
// CHECK-LABEL: kernel.entry @step
// CHECK-NOT: "dsa.
// CHECK: "mla.attend_latent" {{.*}} unit,
// CHECK-NOT: above
// CHECK: kernel.repeat 3 count 58
