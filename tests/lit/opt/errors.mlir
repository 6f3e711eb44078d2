// Wrong use and bad input end with status 2, unmet expectations with 1; nothing is printed on stdout then.
// RUN: bash -c 'modelc opt %s --until lm-nothing 2>&1; test $? = 2' | FileCheck %s --check-prefix=UNTIL
// RUN: bash -c 'modelc opt %s --from lm-plan --until lm-resolve 2>&1; test $? = 2' | FileCheck %s --check-prefix=ORDER
// RUN: bash -c 'modelc opt %s --until lm-plan --pass-pipeline="builtin.module()" 2>&1; test $? = 2' | FileCheck %s --check-prefix=BOTH
// RUN: bash -c 'modelc opt %s --pass-pipeline="builtin.module(lm-nothing)" 2>&1; test $? = 2' | FileCheck %s --check-prefix=PIPELINE
// RUN: bash -c 'modelc opt %s --pass-pipeline="builtin.module(lm-to-kernel{max-rows=many})" 2>&1; test $? = 2' | FileCheck %s --check-prefix=OPTION
// RUN: bash -c 'modelc opt %t.none 2>&1; test $? = 2' | FileCheck %s --check-prefix=FILE
// RUN: bash -c 'modelc opt %s --nothing 2>&1; test $? = 2' | FileCheck %s --check-prefix=FLAG
// RUN: bash -c 'modelc opt %s --load-pass-plugin=%t.so 2>&1; test $? = 2' | FileCheck %s --check-prefix=PLUGIN
// RUN: bash -c 'modelc opt %s --load-dialect-plugin=%s 2>&1; test $? = 2' | FileCheck %s --check-prefix=DIALECT
// RUN: bash -c 'modelc opt %s --until lm-fuse --manifest %t.json 2>&1; test $? = 2' | FileCheck %s --check-prefix=MANIFEST
// RUN: bash -c 'modelc opt %s --until lm-resolve --weights %t.dir 2>&1; test $? = 2' | FileCheck %s --check-prefix=WEIGHTS
// RUN: bash -c 'modelc opt %s --until lm-resolve --config %t.cfg 2>&1; test $? = 2' | FileCheck %s --check-prefix=CONFIG
// RUN: bash -c 'echo "lm.model @m {" | modelc opt 2>/dev/null; test $? = 2' | FileCheck %s --check-prefix=NOTHING --allow-empty
// RUN: bash -c 'echo "// expected-error {{never}}" | modelc opt --verify-diagnostics 2>/dev/null; test $? = 1' | FileCheck %s --check-prefix=NOTHING --allow-empty

// UNTIL: modelc opt: --until lm-nothing: no such pass in the pipeline; it has lm-resolve, lm-vary-attention, lm-absorb-mla
// ORDER: modelc opt: --from lm-plan comes after --until lm-resolve
// BOTH: modelc opt: give --pass-pipeline, or --from and --until, not both
// PIPELINE: modelc opt: --pass-pipeline: {{.*}}'lm-nothing' does not refer to a registered pass
// OPTION: modelc opt: --pass-pipeline: {{.*}}failed to add `lm-to-kernel` with options `max-rows=many`
// FILE: modelc opt: cannot open input file
// FLAG: modelc opt: unrecognised option '--nothing'; see 'modelc opt --help'
// PLUGIN: modelc opt: cannot load '{{.*}}.so':
// DIALECT: modelc opt: cannot load '{{.*}}errors.mlir':
// MANIFEST: error: manifest: cannot open input file
// WEIGHTS: error: {{.*}}.dir
// CONFIG: error: config: cannot open input file
// NOTHING-NOT: {{.}}
lm.model @m {
}
