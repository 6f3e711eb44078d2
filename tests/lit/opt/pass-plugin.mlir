// The example pass, loaded from its library and run before modelc's own.
// RUN: modelc opt %s --load-pass-plugin=%set_topk --pass-pipeline='builtin.module(set-topk{k=7})' | FileCheck %s
// RUN: modelc opt %root/models/v3.2.mlir --load-pass-plugin=%set_topk --pass-pipeline='builtin.module(set-topk{k=512})' \
// RUN:   | modelc opt --until kernel-plan-memory %manifest | FileCheck %s --check-prefix=MODEL

// CHECK: lm.dsa.select %{{.*}} top 7
// MODEL: "dsa.logits_select" {{.*}} k = 512 : i64
lm.model @m {
  lm.entry @step {
    %x = lm.input "hidden" width 8
    %y = lm.dsa.select %x top 4
    lm.return ["hidden"] %y
  }
}
