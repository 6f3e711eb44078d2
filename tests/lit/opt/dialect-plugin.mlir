// The example dialect, loaded from its library: parsed, verified, printed and lowered.
// RUN: modelc opt %s --load-dialect-plugin=%research --split-input-file --verify-diagnostics
// RUN: sed 's/lm.dsa.select %%s top @index_topk/research.select_recent %%s top @index_topk recent 16 block 8/; s/\["topk_indices"\]}/& : !lm.rows/' \
// RUN:   %root/models/v3.2.mlir > %t.mlir
// RUN: modelc opt %t.mlir --load-dialect-plugin=%research | FileCheck %s --check-prefix=PARSED
// RUN: modelc opt %t.mlir --load-dialect-plugin=%research --load-pass-plugin=%research --pass-pipeline='builtin.module(lower-research)' \
// RUN:   | modelc opt --until kernel-plan-memory %manifest | FileCheck %s --check-prefix=PROGRAM
// RUN: not modelc opt %t.mlir 2>&1 | FileCheck %s --check-prefix=WITHOUT
// RUN: modelc build %t.mlir --backend cpu --extension %research --source-passes lower-research -o %t.built
// RUN: FileCheck %s --check-prefix=BUILT < %t.built
// RUN: not modelc build %t.mlir --backend cpu --extension %research --source-passes lower-reserch -o %t.none 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not modelc build %t.mlir --backend cpu --extension %t.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=NOLIB

// PARSED: research.select_recent %{{.*}} top @index_topk recent 16 block 8 {tap = ["topk_indices"]} : !lm.rows
// PROGRAM: "dsa.block_scores" {{.*}} static {block = 8 : i64} above 2048
// PROGRAM-NEXT: "dsa.window_scores" {{.*}} static {window = 16 : i64} above 2048
// PROGRAM-NEXT: "dsa.select" {{.*}} static {k = 2048 : i64} above 2048 tap ["topk_indices"]
// WITHOUT: research
// BUILT: dsa.window_scores
// UNKNOWN: modelc build: source passes 'lower-reserch': {{.*}}lower-reserch
// NOLIB: modelc build: cannot load

lm.model @wrong {
  lm.block @b(%s) at "" {
    // expected-error @below {{(C1) block is 0; want at least 1}}
    %y = research.select_recent %s top 64 recent 16 block 0 : !lm.rows
    lm.yield %y
  }
}
