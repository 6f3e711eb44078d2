//===- Kernels.h - an op of ops.md as a function ----------------*- C++ -*-===//
//
// What stands behind `kernel-generate`: for a row of plugins/abi/ops.md, the shapes of its tensors and its attributes,
// a function in the dialects vector, scf, memref, arith and math. A function computes a range of *items*, the places of
// a grid that needs no order: any split of them over threads gives the same bits.
//
//===----------------------------------------------------------------------===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_KERNELS_H
#define MODELC_CORE_COMPILER_CODEGEN_KERNELS_H

#include "core/compiler/codegen/CodeBuilder.h"
#include "dialects/kernel/Kernel.h"
#include "plugins/manifest/manifest.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace modelc::codegen {

/// A tensor as the function sees it. Sizes that are known at run time alone have names; equal names, equal sizes.
struct KernelTensor {
  mlir::Type element;                      // null: the op leaves it out
  llvm::SmallVector<mlir::Attribute> dims; // numbers and names
  bool blockScales = false; // f8E4M3FN with a float32 factor for each 128 x 128 of the last two dimensions
};

/// Which function.
struct KernelRequest {
  std::string op;                          // row of ops.md, or "fused" (kernel-fuse)
  mlir::DictionaryAttr attributes;         // by the names of ops.md
  llvm::SmallVector<KernelTensor> tensors; // in its order
};

/// The processor, as far as the form of the code depends on it.
struct VectorTarget {
  int64_t lanes = 8; // float32 values in a register
  bool fma = true;
  bool dotBytes = false; // has vpdpbusd in registers of 64 bytes

  /// As the manifest says: registers of `vector_bytes`; x86-64 has fused multiply-add from 32 on.
  static VectorTarget of(const CodegenTarget &target) {
    return {target.vector_bytes / 4, target.vector_bytes > 16,
            target.vector_bytes == 64 && target.features.find("+avx512vnni") != std::string::npos};
  }
};

/// What a schedule leaves open (dialects/lm/LMSchedules.td), where no size asks for another.
struct DefaultTiles {
  static constexpr int64_t rows = 8;    // of an item of scores
  static constexpr int64_t pages = 16;  // long enough that a page table's walk is nothing
  static constexpr int64_t block = 512; // scores between two looks at how many are kept
  static constexpr int64_t maximum = 8; // scores of a block whose maximum is looked at first
  static constexpr int64_t keys = 64;   // records widened at a time
  static constexpr int64_t sharing = 4; // rows that go through their positions together
  static constexpr int64_t heads = 32;  // their queries and values fit beside a tile of records
};

/// True for ops there is a function for.
bool canGenerate(llvm::StringRef op);
/// True for dtypes that such functions read: all but the weights in groups, int8 and int4.
inline bool canRead(llvm::StringRef dtype) { return dtype != "int8" && dtype != "int4"; }
/// All of them, by name.
llvm::SmallVector<llvm::StringRef> generatedOps();
/// Ops that work row by row and may be fused with their neighbours.
bool isRowOp(llvm::StringRef op);

/// Makes the function inside a new `kernel.code` at the builder's place. Fails with a diagnostic where the op is not
/// written for such tensors.
mlir::FailureOr<kernel::CodeOp> generateKernel(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name,
                                               const KernelRequest &request, VectorTarget target);

/// A kernel being written: the operands of its function, and what its description will say.
class Kernel {
public:
  CodeBuilder &c;
  const KernelRequest &request;

  Kernel(CodeBuilder &c, const KernelRequest &request, mlir::func::FuncOp function);

  // Tensors, by their number in ops.md.
  bool has(size_t i) const { return i < request.tensors.size() && request.tensors[i].element; }
  mlir::Value tensor(size_t i) const { return memory[i]; }
  mlir::Value scale(size_t i) const { return scales[i]; }
  int64_t rank(size_t i) const { return request.tensors[i].dims.size(); }
  /// A static dimension; negative d counts from the last. -1 where it is dynamic.
  int64_t size(size_t i, int64_t d) const;
  mlir::Type element(size_t i) const { return request.tensors[i].element; }

  int64_t integer(llvm::StringRef name) const;
  /// The same of a schedule's parameter: `otherwise` where it is absent.
  int64_t tile(llvm::StringRef name, int64_t otherwise) const {
    const int64_t given = integer(name);
    return given > 0 ? given : otherwise;
  }
  double real(llvm::StringRef name) const;
  llvm::StringRef word(llvm::StringRef name) const;

  /// Places of the grid: ceil(dimension / per) each.
  struct GridDim {
    size_t tensor;
    int64_t dim;
    int64_t per = 1;
  };
  /// Calls body with the place of each item of the function's range. Once per kernel.
  void forItems(llvm::ArrayRef<GridDim> dims, llvm::function_ref<void(llvm::ArrayRef<Val>)> body);

  /// n neighbours of a weight's row as float32, times their block's scale; they lie in one block.
  Val weight(size_t i, CodeBuilder::Place place, int64_t n) const;

  /// Memory of one worker, contents undefined.
  mlir::Value scratch(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  mlir::InFlightDiagnostic error() const;

  // For the description.
  llvm::SmallVector<mlir::Attribute> grid;
  int64_t scratchBytes = 0;

private:
  llvm::SmallVector<mlir::Value> memory, scales;
  mlir::Value begin, end, scratchMemory;
};

// One per family of ops.
llvm::LogicalResult writeRows(Kernel &k);    // add, the norms, rope, hadamard, fake_quantize, and fused chains of them
llvm::LogicalResult writeRoute(Kernel &k);   // moe.route
llvm::LogicalResult writeLogits(Kernel &k);  // dsa.logits
llvm::LogicalResult writeSelect(Kernel &k);  // dsa.select
llvm::LogicalResult writeRescore(Kernel &k); // dsa.block_scores, dsa.window_scores
llvm::LogicalResult writeAttend(Kernel &k);  // mla.attend_latent, mla.attend_parts
llvm::LogicalResult writeMerge(Kernel &k);   // mla.merge_parts
llvm::LogicalResult writeMove(Kernel &k);    // embed, take_rows, copy, concat, moe.dispatch, moe.combine, the appends
llvm::LogicalResult writeLinear(Kernel &k);  // linear, head_linear, grouped_linear, and their gated forms

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_KERNELS_H
