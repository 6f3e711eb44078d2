// Where a schedule comes from: the file, the tuning record, patterns, the manifest; and what the cost model fills in.
// RUN: split-file %s %t
// RUN: modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/all-ops.json})' | FileCheck %s --check-prefix=LIBRARY
// RUN: modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/codegen.json generate=dsa.logits,moe.*})' | FileCheck %s --check-prefix=ASKED
// RUN: modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/codegen.json tuning=%t/record.json})' | FileCheck %s --check-prefix=TUNED
// RUN: modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/all-ops.json tuning=%t/record.json})' | FileCheck %s --check-prefix=LIBRARY
// RUN: not modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/codegen.json tuning=%t/wrong.json})' 2>&1 | FileCheck %s --check-prefix=WRONG
// RUN: not modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/codegen.json tuning=%t/broken.json})' 2>&1 | FileCheck %s --check-prefix=BROKEN
// RUN: not modelc opt %t/model.mlir --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/codegen.json tuning=%t/absent.json})' 2>&1 | FileCheck %s --check-prefix=ABSENT

// LIBRARY: lm.dsa.logits {{.*}} schedule #lm.dsa<code = library> as
// LIBRARY: lm.dsa.select {{.*}} schedule #lm.dsa<code = library> as
// What the file says stays; 64 heads of 576 + 64 floats: 64 records make a tile.
// LIBRARY: lm.mla.attend_latent {{.*}} schedule #lm.mla<code = generated, keys = 64, heads = 32> as
// LIBRARY: lm.moe.route {{.*}} schedule #lm.moe<code = library> as

// 64 heads of 128: eight rows of queries are 256 KiB.
// ASKED: lm.dsa.logits {{.*}} schedule #lm.dsa<code = generated, rows = 8, pages = 16> as
// ASKED: lm.moe.route {{.*}} schedule #lm.moe<code = generated> as

// TUNED: lm.dsa.logits {{.*}} schedule #lm.dsa<code = generated, rows = 4, pages = 16> as

// WRONG: error: 'lm.dsa.logits' op has a tuning record with the schedule '#lm.moe<code = generated>', which is none of its kind
// BROKEN: error: tuning record '{{.*}}broken.json': entry 0 has no text 'device'; delete it and run modelc tune again
// ABSENT: error: cannot read '{{.*}}absent.json'

//--- model.mlir
lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 128 as tensor<?x128xf32>
    %q = lm.input "hidden" width 128 as tensor<?x64x128xf32>
    %w = lm.input "hidden" width 64 as tensor<?x64xf32>
    %k = lm.dsa.append %x format "f8" as (tensor<?x128xf32>) -> !lm.cache<"index">
    %s = lm.dsa.logits %q, %w, %k scale 0.5 format "f8" as (tensor<?x64x128xf32>, tensor<?x64xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    %i = lm.dsa.select %s top 4 as (tensor<?x?xf32>) -> tensor<?x4xi32>
    %l = lm.input "hidden" width 512 as tensor<?x512xf32>
    %r = lm.input "hidden" width 64 as tensor<?x64xf32>
    %c = lm.mla.append %l, %r format "f8" as (tensor<?x512xf32>, tensor<?x64xf32>) -> !lm.cache<"latent">
    %ql = lm.input "hidden" width 512 as tensor<?x64x512xf32>
    %qr = lm.input "hidden" width 64 as tensor<?x64x64xf32>
    %a = lm.mla.attend_latent %ql, %qr, %c, %i scale 0.5 format "f8" schedule #lm.mla<code = generated> as (tensor<?x64x512xf32>, tensor<?x64x64xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x64x512xf32>
    %g = lm.input "hidden" width 8 as tensor<?x8xf32>
    %e:2 = lm.moe.route %g <"b", "", tensor<8xf32>> groups 2 pick 1 top 2 scale 1.0 normalize 1 as (tensor<?x8xf32>) -> (tensor<?x2xf32>, tensor<?x2xi32>)
    // Four rows go through their positions together.
    // LIBRARY: lm.mla.attend_latent {{.*}} schedule #lm.mla<code = generated, gather = page, rows = 4, keys = 64, heads = 32> as
    %a2 = lm.mla.attend_latent %ql, %qr, %c, %i scale 0.5 format "f8" schedule #lm.mla<code = generated, gather = page> as (tensor<?x64x512xf32>, tensor<?x64x64xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x64x512xf32>
    lm.return ["hidden"] %a : tensor<?x64x512xf32>
  }
}
//--- record.json
{"schedules": [
  {"device": "any", "compiler": "0", "op": "dsa.logits", "shape": "?x2x8 ?x2 format=f8", "schedule": "#lm.dsa<code = generated, rows = 1>"},
  {"device": "any", "compiler": "0", "op": "dsa.logits", "shape": "?x64x128 ?x64 format=f8", "schedule": "#lm.dsa<code = generated, rows = 4>"}
]}
//--- wrong.json
{"schedules": [{"device": "any", "compiler": "0", "op": "dsa.logits", "shape": "?x64x128 ?x64 format=f8", "schedule": "#lm.moe<code = generated>"}]}
//--- broken.json
{"schedules": [{"op": "dsa.logits"}]}
