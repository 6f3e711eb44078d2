// The published model through the whole pipeline, stopped and resumed at every level.
// RUN: modelc opt %root/models/v3.2.mlir --until kernel-plan-memory %manifest --config %root/tests/fixtures/deepseek-v3.2/config.json | FileCheck %s
// RUN: modelc opt %root/models/v3.2.mlir --until kernel-plan-memory %manifest | FileCheck %s
// RUN: modelc opt %root/models/v3.2.mlir --until lm-resolve \
// RUN:   | modelc opt --from lm-absorb-mla --until lm-absorb-mla | modelc opt --from lm-plan --until lm-plan \
// RUN:   | modelc opt --from lm-quantize --until lm-quantize | modelc opt --from lm-schedule --until lm-schedule %manifest | modelc opt --from lm-fuse --until lm-fuse %manifest \
// RUN:   | modelc opt --from lm-select-kernels --until lm-select-kernels %manifest | modelc opt --from lm-conditions --until lm-conditions \
// RUN:   | modelc opt --from lm-to-kernel --until lm-to-kernel | modelc opt --from kernel-plan-memory | FileCheck %s

// CHECK: kernel.program @deepseek_v3_2 limits [512, 512, 64, 2560, 163840, 4096] arena [[BYTES:[0-9]+]] live [[BYTES]] parameters
// CHECK-DAG: kernel.cache @latent layers 62 page_bytes 41984 format "f8"
// CHECK-DAG: kernel.cache @index layers 62 page_bytes 8448 format "f8"
// CHECK-DAG: kernel.weight @{{.*}} "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight" scale "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight_scale_inv" : tensor<256x2048x7168xf8E4M3FN>

// One body for each kind of layer; attention outside the selection's reach sees every position.
// CHECK-LABEL: kernel.entry @step
// CHECK: kernel.repeat 0 count 3
// CHECK: "dsa.logits_select" {{.*}} static {format = "f8", k = 2048 : i64, scale = 0.0110485{{.*}}} above 2048 tap ["topk_indices"]
// CHECK: "mla.attend_latent" {{.*}} above 2048
// CHECK: "mla.attend_latent" {{.*}} unit, {{.*}} at_most 2048
// CHECK: kernel.repeat 3 count 58
// CHECK: "moe.route" {{.*}} static {groups = 8 : i64, normalize = true, scale = 2.500000e+00 : f64, topk_group = 4 : i64} tap ["expert_weights", "experts"]
// CHECK: "add" {{.*}} tap ["hidden"]
// CHECK-NEXT: }
// CHECK: kernel.repeat 0 count 1
// CHECK-LABEL: kernel.entry @draft
// CHECK: kernel.repeat 61 count 1
// CHECK: "rms_norm" kernel "rms_norm" ["hidden"
// CHECK-NOT: "copy"
