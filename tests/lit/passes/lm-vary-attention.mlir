// RUN: modelc opt %s --until lm-vary-attention --attention 'top=5 block=4 window=2 index-format=bf16' | FileCheck %s --check-prefix=RULES
// RUN: modelc opt %s --until lm-to-kernel %manifest --attention index-format=i8 | FileCheck %s --check-prefix=INT8
// RUN: modelc opt %s --until lm-to-kernel %manifest --attention latent-format=i8 | FileCheck %s --check-prefix=LATENT
// RUN: modelc opt %s --until lm-to-kernel %manifest --attention 'expanded latent-format=i8' | FileCheck %s --check-prefix=EXPANDED
// RUN: modelc opt %s --until lm-vary-attention --attention dense | FileCheck %s --check-prefix=DENSE
// RUN: modelc opt %s --until lm-vary-attention --attention reuse=2 | FileCheck %s --check-prefix=REUSE
// RUN: modelc opt %s --until lm-to-kernel %manifest --attention reuse=2 | FileCheck %s --check-prefix=PROGRAM
// RUN: modelc opt %s --until lm-vary-attention | FileCheck %s --check-prefix=NOTHING
// RUN: not modelc opt %s --until lm-vary-attention --attention 'dense top=4' 2>&1 | FileCheck %s --check-prefix=BOTH
// RUN: not modelc opt %s --until lm-vary-attention --attention 'block=-1' 2>&1 | FileCheck %s --check-prefix=RANGE
// RUN: not modelc opt %s --until lm-vary-attention --attention 'index-format=int4' 2>&1 | FileCheck %s --check-prefix=FORMAT
// RUN: not modelc opt %s --until lm-vary-attention --attention 'latent-format=f16' 2>&1 | FileCheck %s --check-prefix=LATENTS
// RUN: not modelc opt %s --until lm-vary-attention --attention 'sparse' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not modelc opt %root/models/v3.1.mlir --until lm-vary-attention --attention top=4 2>&1 | FileCheck %s --check-prefix=NONE

// RULES: lm.dsa.key {{.*}} eps {{.*}} format "bf16"
// RULES: %[[S:.*]] = lm.dsa.score
// RULES: %[[B:.*]] = lm.dsa.block_scores %[[S]] block 4
// RULES: %[[W:.*]] = lm.dsa.window_scores %[[B]] window 2
// RULES: %[[I:.*]] = lm.dsa.select %[[W]] top 5 {tap = ["topk_indices"]}
// RULES: lm.mla.attend %{{.*}}, %{{.*}}, %[[I]]

// Rotated, rounded, in pages of 64 rows of 8 bytes and 64 scales; latent records are as without the option.
// INT8-DAG: kernel.cache @latent {{.*}} format "f8"
// INT8-DAG: kernel.cache @index layers 6 page_bytes 768 format "i8"
// INT8: "hadamard"
// INT8: "dsa.append" {{.*}}format = "i8"
// INT8: "hadamard"
// INT8: "dsa.logits{{.*}}format = "i8"

// Records of 8 bytes, a scale and 4 bf16; index keys are as without the option.
// LATENT-DAG: kernel.cache @latent layers 6 page_bytes 1280 format "i8"
// LATENT-DAG: kernel.cache @index {{.*}} format "f8"
// LATENT: "mla.append" {{.*}}format = "i8"
// LATENT: "mla.attend_latent{{.*}}format = "i8"

// Records are multiplied with kv_b_proj, which knows no rotation: the index keys alone are rotated.
// EXPANDED-DAG: kernel.cache @latent layers 6 page_bytes 1280 format "i8"
// EXPANDED-NOT: head_linear
// EXPANDED: "mla.append" {{.*}}format = "i8"
// EXPANDED-NOT: head_linear
// EXPANDED-NOT: "mla.attend_latent"
// EXPANDED: "mla.attend_expanded" {{.*}} static {format = "i8", nope = {{.*}} above 3
// EXPANDED: "mla.attend_expanded" {{.*}} unit, {{.*}} at_most 3
// EXPANDED-NOT: head_linear

// DENSE-NOT: lm.dsa
// DENSE: lm.mla.attend %{{[^,]*}}, %{{[^ ,]*}} <
// DENSE-NOT: lm.dsa

// Layers 0, 2 and 4 select; 1 and 3 take over. The draft layer keeps its own selection.
// REUSE: %[[L0:.*]]:2 = lm.layers () from 0 to 1
// REUSE: lm.dsa.select
// REUSE: %[[L1:[^:]*]] = lm.layers () from 1 to 2
// REUSE-NOT: lm.dsa
// REUSE: lm.mla.attend %{{.*}}, %{{.*}}, %[[L0]]#1
// REUSE: %[[L2:.*]]:2 = lm.layers () from 2 to 3
// REUSE: lm.dsa.select
// REUSE: lm.layers () from 3 to 4
// REUSE-NOT: lm.dsa
// REUSE: lm.mla.attend %{{.*}}, %{{.*}}, %[[L2]]#1
// REUSE: lm.layers () from 4 to 5
// REUSE: lm.dsa.select
// REUSE: lm.entry @draft
// REUSE: lm.dsa.select

// Where the selection did not run, those that share it see every position too.
// PROGRAM: kernel.repeat 1 count 1
// PROGRAM-NOT: "dsa.
// PROGRAM: "mla.attend_latent" {{.*}} above 3
// PROGRAM: "mla.attend_latent" {{.*}} unit, {{.*}} at_most 3
// PROGRAM: kernel.repeat 2 count 1

// NOTHING: %[[S:.*]] = lm.dsa.score
// NOTHING-NEXT: lm.dsa.select %[[S]] top 3
// BOTH: dense attention selects nothing; drop the other options
// RANGE: block is -1; want 1 to 65536
// FORMAT: index-format is 'int4'; want f8, i8, bf16 or f32
// LATENTS: latent-format is 'f16'; want f8, i8, bf16 or f32
// UNKNOWN: sparse
// NONE: the model has no lm.dsa.select to vary

lm.model @m {
  lm.rope_table @rope dim 4 theta 10000
  lm.block @layer(%x) at "self_attn" {
    %q   = lm.linear %x "q" to [2, 12]
    %kv  = lm.linear %x "kv" to [12]
    %c   = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6
    %k   = lm.dsa.key %x "wk" "k_norm" dim 8 rope @rope eps 1.0e-6
    %s   = lm.dsa.score %x, %x, %k "wq_b" "weights_proj" heads 2 dim 8 rope @rope
    %sel = lm.dsa.select %s top 3 {tap = ["topk_indices"]}
    %a   = lm.mla.attend %q, %c, %sel "kv_b" nope 8 value 8 rope @rope
    %y   = lm.linear %a "o" to [16]
    lm.yield %y
  }
  lm.entry @step {
    %ids = lm.input "ids"
    %x = lm.embed %ids "embed" to [32, 16]
    %d = lm.layers (%h = %x) from 0 to 1 at "layers.{layer}" {
      %y = lm.call @layer(%h)
      lm.yield %y
    }
    %m = lm.layers (%h = %d) from 1 to 5 at "layers.{layer}" {
      %y = lm.call @layer(%h)
      lm.yield %y
    }
    lm.return ["hidden"] %m
  }
  lm.entry @draft {
    %hidden = lm.input "hidden" width 16
    %m = lm.layers () from 5 to 6 at "layers.{layer}" {
      %y = lm.call @layer(%hidden)
      lm.yield %y
    }
    lm.return ["hidden"] %m
  }
}
