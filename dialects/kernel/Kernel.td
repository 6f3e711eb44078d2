//===- Kernel.td - the program dialect --------------------------*- tablegen -*-===//
#ifndef MODELC_DIALECTS_KERNEL
#define MODELC_DIALECTS_KERNEL

include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::modelc::kernel";
  let summary = "Flat programs: buffers, launches, repeats";
  let description = [{
    What `lm-to-kernel` makes and the runtime executes: named buffers in one arena, weights by checkpoint name, and per entry a list
    of launches, in repeats over layers. There are no values; a launch names what it reads and writes, in the order of
    plugins/abi/ops.md. Dynamic sizes are the closed set T N S P C M.
  }];
}

class Kernel_Op<string mnemonic, list<Trait> traits = []> : Op<Kernel_Dialect, mnemonic, traits>;

def Kernel_ProgramOp : Kernel_Op<"program", [IsolatedFromAbove, NoTerminator, SingleBlock, SymbolTable, Symbol]> {
  let summary = "A compiled model";
  let description = [{`parameters` are the model's resolved numbers, `limits` the largest step the arena is planned for (T N S P C M). `arena`
    is its size in bytes, `live` the most bytes needed at one launch, which no plan can go below. (C1) six limits}];
  let arguments = (ins SymbolNameAttr:$sym_name, DictionaryAttr:$parameters, DenseI64ArrayAttr:$limits,
                       OptionalAttr<I64Attr>:$arena_bytes, OptionalAttr<I64Attr>:$live_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `limits` $limits (`arena` $arena_bytes^)? (`live` $live_bytes^)? `parameters` $parameters attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Kernel_BufferOp : Kernel_Op<"buffer", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "An activation in the arena";
  let description = [{
    Each dimension is a number or a step-time size times one: `["T", 7168]`, `["8*T", 2048]`.

        kernel.buffer @b0 f32 ["T", 7168] at 0 bytes 14680064

    (C1) dimensions are numbers or sizes   (C2) the type is f32 or i32
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, ArrayAttr:$dims, OptionalAttr<I64Attr>:$offset,
                       OptionalAttr<I64Attr>:$bytes);
  let assemblyFormat = "$sym_name $type $dims (`at` $offset^)? (`bytes` $bytes^)? attr-dict";
  let hasVerifier = 1;
}

def Kernel_WeightOp : Kernel_Op<"weight", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "A tensor of the checkpoint, or one per layer";
  let description = [{
    Its type is the checkpoint's; `to` is what it is converted to when it is loaded (bf16, int8 or int4).

        kernel.weight @w0 "model.layers.{layer}.mlp.gate.weight" scale "" : tensor<256x7168xbf16>
        kernel.weight @w1 "lm_head.weight" scale "" to "int8" : tensor<129280x7168xbf16>

    (C1) `to` is bf16, int8 or int4}];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$name, StrAttr:$scale, OptionalAttr<StrAttr>:$format, TypeAttr:$type);
  let assemblyFormat = "$sym_name $name `scale` $scale (`to` $format^)? `:` $type attr-dict";
  let hasVerifier = 1;
}

def Kernel_ConstantOp : Kernel_Op<"constant", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "Float32 values known at compile time";
  let arguments = (ins SymbolNameAttr:$sym_name, DenseF32ArrayAttr:$values);
  let assemblyFormat = "$sym_name $values attr-dict";
}

def Kernel_CacheOp : Kernel_Op<"cache", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "Pages of one kind for all layers";
  let description = [{`kernel.cache @latent layers 62 page_bytes 41984 format "f8"`; the bytes are plugins/abi/cache.md's.}];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$layers, I64Attr:$page_bytes, StrAttr:$format);
  let assemblyFormat = "$sym_name `layers` $layers `page_bytes` $page_bytes `format` $format attr-dict";
}

def Kernel_EntryOp : Kernel_Op<"entry", [Symbol, HasParent<"ProgramOp">, NoTerminator, SingleBlock]> {
  let summary = "A function of the program";
  let description = [{`outputs` names the buffers that hold its results. (C1) they exist}];
  let arguments = (ins SymbolNameAttr:$sym_name, DictionaryAttr:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `outputs` $outputs attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Kernel_RepeatOp : Kernel_Op<"repeat", [HasParent<"EntryOp">, NoTerminator, SingleBlock]> {
  let summary = "Launches for layer = first ... first + count - 1";
  let description = [{(C1) first >= 0 and count >= 1}];
  let arguments = (ins I64Attr:$first, I64Attr:$count);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$first `count` $count attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Kernel_LaunchOp : Kernel_Op<"launch", [HasParent<"RepeatOp">]> {
  let summary = "One kernel over buffers, weights, caches and step inputs";
  let description = [{
    `operands` holds symbols of the program, step inputs as strings, and `unit` for what an op may leave out. `above` / `at_most`:
    runs only where the step's longest context is larger / not larger than that many tokens. `tap` names the operand people
    compare, one name per result. `code` is what runs where `kernel` is "generated".

        kernel.launch "linear" kernel "linear" [@b0, @w3, @b1] results 1 static {act = "none"}

    (C1) operands are symbols of the program, step inputs or unit   (C2) no more taps than results
  }];
  let arguments = (ins StrAttr:$op, StrAttr:$kernel, ArrayAttr:$tensors, DictionaryAttr:$statics, I64Attr:$results,
                       OptionalAttr<I64Attr>:$above, OptionalAttr<I64Attr>:$at_most, OptionalAttr<StrArrayAttr>:$tap,
                       OptionalAttr<FlatSymbolRefAttr>:$code);
  let assemblyFormat = [{$op `kernel` $kernel (`code` $code^)? $tensors `results` $results `static` $statics (`above` $above^)? (`at_most` $at_most^)?
                         (`tap` $tap^)? attr-dict}];
  let hasVerifier = 1;
}

def Kernel_CodeOp : Kernel_Op<"code", [IsolatedFromAbove, NoTerminator, SingleBlock, SymbolTable, Symbol]> {
  let summary = "Generated code of a launch, as a function and then as an image";
  let description = [{
    The function takes the launch's tensors as memrefs (block scales follow their matrix), the first and the last item of its range
    (`index`), and a worker's scratch memory. `tensors` says of each its type and sizes, sizes known at run time by name. An item is a
    place of `grid`, whose dimensions are `[size, per]`: ceil(size / per). `kernel-compile` puts `image` in the function's place:
    machine code for the processor `target`, which runs wherever it lies, called at `entry` (plugins/abi/codegen.md).

        kernel.code @add_0 "add" tensors [[f32, "T", 7168], [f32, "T", 7168], [f32, "T", 7168]] grid [["T", 1]] scratch 0 {
          func.func @add_0(%a: memref<?x7168xf32>, ...) { ... }
        }

    (C1) a tensor is unit or a type and sizes   (C2) grid dimensions are a size and a count of at least 1}];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$op, ArrayAttr:$tensors, ArrayAttr:$grid, I64Attr:$scratch,
                       OptionalAttr<I64Attr>:$entry, OptionalAttr<StrAttr>:$target, OptionalAttr<StrAttr>:$image);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{$sym_name $op `tensors` $tensors `grid` $grid `scratch` $scratch (`entry` $entry^ `target` $target `image` $image)?
                         attr-dict-with-keyword $body}];
  let hasVerifier = 1;
}

#endif // MODELC_DIALECTS_KERNEL
