//===- Passes.td - the compiler's passes, in pipeline order -----*- tablegen -*-===//
#ifndef MODELC_CORE_COMPILER_PASSES
#define MODELC_CORE_COMPILER_PASSES

include "mlir/Pass/PassBase.td"

//===--------------------------------------------------------------------------===//
// Source to resolved
//===--------------------------------------------------------------------------===//

def LMResolve : Pass<"lm-resolve", "::mlir::ModuleOp"> {
  let summary = "Parameters to numbers, calls inlined, weights found in the checkpoint";
  let description = [{
    Gives every `lm.param` its number (config over default), inlines `lm.call`, turns `!lm.rows` into ranked tensors whose
    leading dimension alone stays dynamic, and names into checkpoint tensors. With a checkpoint every weight's presence,
    shape and dtype is checked, in every layer and expert, and all that does not fit is reported at once.

        %q = lm.linear %x "q_a_proj" to [@q_lora_rank]
        // becomes
        %q = lm.linear %x <"model.layers.{layer}.self_attn.q_a_proj.weight", "", tensor<1536x7168xbf16>> to [1536]
             as (tensor<?x7168xf32>) -> tensor<?x1536xf32>

    The numbers stay on the model as its attribute `parameters`.
  }];
  let options = [
    ListOption<"configFiles", "config", "std::string", "config.json files, later ones override; a comma between them">,
    Option<"weightsDir", "weights", "std::string", /*default=*/"\"\"", "Checkpoint folder to check weights against">];
}

def LMVaryAttention : Pass<"lm-vary-attention", "::mlir::ModuleOp"> {
  let summary = "Other rules of sparse attention than the model file's";
  let description = [{
    Changes what every selection of a resolved model does, so that a variant can be tried without another model file; without
    options it changes nothing. `dense` drops selection and indexer. `top` is another k. `block` puts `lm.dsa.block_scores` and `window`
    `lm.dsa.window_scores` in front of the selection. `index-format` and `latent-format` say what the pages
    of the indexer's keys and of the latents hold. `expanded` attends to keys and values of each head instead of latents
    (`#lm.mla`, form). With `reuse` every so many layers of the step attend to the selection of the first of
    them, and have no indexer of their own; their layers then run as runs of one.

        %sel = lm.dsa.select %s top 2048
        // becomes, with block=16 window=32 top=512
        %b = lm.dsa.block_scores %s block 16
        %w = lm.dsa.window_scores %b window 32
        %sel = lm.dsa.select %w top 512
  }];
  let options = [
    Option<"dense", "dense", "bool", /*default=*/"false", "Attend to every position seen">,
    Option<"top", "top", "int64_t", /*default=*/"0", "Positions a row attends to">,
    Option<"block", "block", "int64_t", /*default=*/"0", "Select whole blocks of so many positions">,
    Option<"window", "window", "int64_t", /*default=*/"0", "Always select so many of the newest positions">,
    Option<"reuse", "reuse", "int64_t", /*default=*/"0", "Layers that share one selection">,
    Option<"expanded", "expanded", "bool", /*default=*/"false", "Attend to keys and values of each head, not to latents">,
    Option<"indexFormat", "index-format", "std::string", /*default=*/"\"\"", "Pages of the indexer's keys: f8, i8, bf16 or f32">,
    Option<"latentFormat", "latent-format", "std::string", /*default=*/"\"\"", "Pages of the latents: f8, i8, bf16 or f32">];
}

//===--------------------------------------------------------------------------===//
// Resolved to planned
//===--------------------------------------------------------------------------===//

def LMAbsorbMLA : Pass<"lm-absorb-mla", "::mlir::ModuleOp"> {
  let summary = "Attention over latents: W_UK to the query, W_UV behind the sum";
  let description = [{
    q·(W_UK c) = (W_UKᵀ q)·c and Σ a (W_UV c) = W_UV (Σ a c): two small products per head, and attention reads one latent a
    position for all heads. `lm.mla.attend` becomes `lm.rope`, `lm.head_linear`, `lm.mla.attend_latent`, `lm.head_linear`; where its schedule says
    `form = expanded` nothing is absorbed, and it becomes `lm.rope`, `lm.mla.attend_expanded`.
  }];
}

def LMPlan : Pass<"lm-plan", "::mlir::ModuleOp"> {
  let summary = "Composites to primitives, each a row of plugins/abi/ops.md";
  let description = [{
    `lm.mla.latent`, `lm.dsa.key`, `lm.dsa.score`, `lm.ffn` and `lm.moe.experts` become primitives. A `tap` on `lm.dsa.score`, the
    name under which people compare its result, goes to `lm.dsa.logits`; other ops keep theirs.

        %y = lm.ffn %x inner 2048 at "shared_experts"
        // becomes
        %g = lm.linear_silu_mul %x "shared_experts.gate_proj" "shared_experts.up_proj" inner 2048
        %y = lm.linear %g "shared_experts.down_proj" to [7168]
  }];
}

def LMQuantize : Pass<"lm-quantize", "::mlir::ModuleOp"> {
  let summary = "Numerics made explicit: activation rounding, indexer rotation, cache formats";
  let description = [{
    `reference` computes in float32 on dequantized weights with float32 pages. `deepseek` rounds what the
    published code rounds, to e4m3 in groups of 128: the inputs of FP8 linears, latents, the indexer's queries and keys; its float32
    pages round nothing else. `fast` keeps e4m3 pages and leaves activations as they are. Before the indexer's queries
    and keys are rounded they are Hadamard-rotated, which spreads outliers and leaves their products unchanged. So are latents and the
    queries that attend to them where pages hold i8, which has one scale for all of a latent; the sum of latents is rotated back.

    `weights-format` is what the large matrices are converted to when they are loaded: those of dense and expert feed-forwards, the
    projections of attention and indexer, and the head over the vocabulary. `f8` leaves them as the checkpoint has them. `bf16` holds e4m3 times
    a power of two exactly. `int8` and `int4` have their rows in groups of 128 (plugins/abi/ops.md), and the rows they are multiplied with are rounded to int8
    in such groups (`act`), so that kernels may sum integers; that is rounding of `fast`, and the other numerics refuse it. The head becomes
    int8 in both. As published stay embeddings, norms, the router, the indexer's head weights, the projection in front of the MTP layer and,
    in int8 and int4, `kv_b_proj`: `lm.head_linear` sums its columns as well as its rows.

        %y = lm.linear %x <"o_proj.weight", "o_proj.weight_scale_inv", tensor<7168x16384xf8E4M3FN>> to [7168]
        // becomes, with weights-format=int8
        %y = lm.linear %x <"o_proj.weight", "o_proj.weight_scale_inv", tensor<7168x16384xf8E4M3FN>, "int8"> to [7168] act "int8_1x128"
  }];
  let options = [
    Option<"weightsFormat", "weights-format", "std::string", /*default=*/"\"f8\"", "Large matrices: f8, bf16, int8 or int4">,
    Option<"numerics", "numerics", "std::string", /*default=*/"\"fast\"", "reference, deepseek or fast">,
    Option<"kvDtype", "kv-dtype", "std::string", /*default=*/"\"\"",
           "Cache pages: f8, i8, bf16 or f32; empty: f8 for fast, f32 otherwise">];
}

def LMSchedule : Pass<"lm-schedule", "::mlir::ModuleOp"> {
  let summary = "How each op of sparse attention and routing is computed";
  let description = [{
    Gives `lm.dsa.logits`, `lm.dsa.select`, `lm.mla.attend_latent` and `lm.moe.route` a schedule: the model file's where it writes one, else the
    tuning record's for the op's sizes, else generated code where `generate` names the op or the device has no kernel, else the
    library's kernel. What is open in a schedule of generated code comes from the cost model: as many rows or records a tile as
    keep it in 256 KiB, a core's second-level cache, and few enough rows and pages of scores that a short context makes several items.

        %s = lm.dsa.logits %q, %w, %k scale 1.0e-2 format "f8" schedule #lm.dsa<code = generated, rows = 8, pages = 16>
  }];
  let options = [
    Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">,
    Option<"generate", "generate", "std::string", /*default=*/"\"\"", "Ops to generate whatever the manifest has: dsa.*,moe.route">,
    Option<"tuningFile", "tuning", "std::string", /*default=*/"\"\"", "A record modelc tune wrote; its entries count whatever their device">];
}

def LMSplitKeys : Pass<"lm-split-keys", "::mlir::ModuleOp"> {
  let summary = "Attention over parts of the keys, where a schedule splits them";
  let description = [{
    The parts of a row are work items of their own: a step of few rows occupies more cores. What a part adds to a row is as large as the
    row, so memory for activations grows by `split` times that.

        %o = lm.mla.attend_latent %q, %r, %c scale 1.0e-2 format "f8" schedule #lm.mla<code = generated, split = 4>
        // becomes
        %p = lm.mla.attend_parts %q, %r, %c parts 4 scale 1.0e-2 format "f8" schedule #lm.mla<code = generated, split = 4>
        %o = lm.mla.merge_parts %p
  }];
}

def LMFuse : Pass<"lm-fuse", "::mlir::ModuleOp"> {
  let summary = "The closed set of fusions, each only where the manifest has a kernel for it";
  let description = [{
    `add` + `rms_norm` to `add_rms_norm`; `dsa.logits` + `dsa.select` to `dsa.logits_select`, which needs no [T, C] scores in
    memory. The latter stay apart where a schedule says so or either is generated, and with `keep-scores`, so that the scores can be
    looked at.
  }];
  let options = [
    Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">,
    Option<"keepScores", "keep-scores", "bool", /*default=*/"false", "Do not fuse scoring with selection">];
}

//===--------------------------------------------------------------------------===//
// Planned to scheduled
//===--------------------------------------------------------------------------===//

def LMSelectKernels : Pass<"lm-select-kernels", "::mlir::ModuleOp"> {
  let summary = "A library kernel for every primitive, or generated code";
  let description = [{
    Takes the best-ranked manifest entry whose condition holds and notes it as the attribute `kernel`. An op without one is noted
    as `"generated"` where the device takes generated code and there is some for the op; so is an op that `generate` names or whose schedule says so. Else it is an
    error that says what each candidate wanted; all such ops are reported.
  }];
  let options = [Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">,
                 Option<"generate", "generate", "std::string", /*default=*/"\"\"", "Ops to generate whatever the manifest has: dsa.*,moe.route">,
                 Option<"backend", "backend", "std::string", /*default=*/"\"cpu\"", "The backend's name, for messages">];
}

def LMConditions : Pass<"lm-conditions", "::mlir::ModuleOp"> {
  let summary = "What runs when: scoring and selection only above index_topk tokens of context";
  let description = [{
    Where every context of a step fits into the selection all positions are selected, so scoring, selecting, and what feeds them
    alone need not run: such ops get `above = k`. Keys are still appended, as later steps will score them.
  }];
}

//===--------------------------------------------------------------------------===//
// Scheduled to program
//===--------------------------------------------------------------------------===//

def LMToKernel : Pass<"lm-to-kernel", "::mlir::ModuleOp"> {
  let summary = "`lm` to the `kernel` dialect: buffers, launches, repeats";
  let description = [{
    Every value becomes a buffer, every op a launch, every `lm.layers` a `kernel.repeat`. What a layer carries to the next keeps one
    buffer: the last op writes into it where its old content is dead by then, else a `copy` follows. Attention over a scheduled
    selection becomes two launches, one for contexts above the threshold and one without selection.
  }];
  let options = [
    Option<"maxRows", "max-rows", "int64_t", /*default=*/"512", "Rows in one step (T)">,
    Option<"maxSequences", "max-sequences", "int64_t", /*default=*/"64", "Sequences in one step (S)">,
    Option<"maxContext", "max-context", "int64_t", /*default=*/"0", "Tokens a sequence may have (C); 0: max_position_embeddings">];
  let dependentDialects = ["::modelc::kernel::KernelDialect"];
}

def KernelFuse : Pass<"kernel-fuse", "::mlir::ModuleOp"> {
  let summary = "Chains of row ops to one launch of generated code";
  let description = [{
    Where one launch alone reads what a row op (norms, `rope`, `hadamard`, `fake_quantize`, `add`) leaves, and is a row op of the same rows, the
    two become a launch `fused`: a row goes through all steps before the next row does, and what is between never reaches
    memory. Steps name the launch's tensors by number, and what step i left as -1 - i. Runs where the device takes generated code
    and `generate` matches `fused`.

        kernel.launch "rope" kernel "rope" [@b0, "pos", @c0, @b1] results 1 static {...}
        kernel.launch "hadamard" kernel "hadamard" [@b1, @b2] results 1 static {}
        // becomes
        kernel.launch "fused" kernel "generated" [@b0, "pos", @c0, @b2] results 1 static {steps = [
            {op = "rope", attributes = {...}, tensors = array<i64: 0, 1, 2, -1>},
            {op = "hadamard", attributes = {}, tensors = array<i64: -1, 3>} ]}
  }];
  let options = [Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">,
                 Option<"generate", "generate", "std::string", /*default=*/"\"fused\"", "Fuses when this matches fused">];
  let dependentDialects = ["::modelc::kernel::KernelDialect"];
}

def KernelPlanMemory : Pass<"kernel-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Lifetimes to offsets in one arena";
  let description = [{
    Buffers that are never live at the same launch share memory. Liveness goes round repeats (what an iteration leaves for the next is
    live through the back edge) and is found separately for every range of contexts the conditions tell apart. Offsets are
    64-byte aligned. Entries share the arena, as one runs at a time. The program notes the arena's size and, as its lower bound,
    the most bytes live at one launch.
  }];
}

//===--------------------------------------------------------------------------===//
// Generated code
//===--------------------------------------------------------------------------===//

def KernelGenerate : Pass<"kernel-generate", "::mlir::ModuleOp"> {
  let summary = "A function for every launch of generated code";
  let description = [{
    Writes what the op means as loops over vectors (`vector`, `scf`, `memref`, `arith`, `math`) inside a `kernel.code`, one for all launches of equal
    op, attributes and tensors. Here the code can be read, and changed by hand before `kernel-compile` takes it.
  }];
  let options = [Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def KernelCompile : Pass<"kernel-compile", "::mlir::ModuleOp"> {
  let summary = "Functions to machine code";
  let description = [{
    Through the LLVM dialect and LLVM to position-independent images for the manifest's target (plugins/abi/codegen.md).
  }];
  let options = [Option<"manifestFile", "manifest", "std::string", /*default=*/"\"\"", "The backend's manifest JSON">];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect", "::mlir::LLVM::LLVMDialect"];
}

#endif // MODELC_CORE_COMPILER_PASSES
