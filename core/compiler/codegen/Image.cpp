//===- Image.cpp - from a function to machine code ------------------------===//
#include "core/compiler/codegen/Image.h"
#include "core/compiler/codegen/Lower.h"
#include "mlir/IR/Builders.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;

namespace modelc::codegen {
namespace {

std::unique_ptr<llvm::TargetMachine> machineFor(const CodegenTarget &target, std::string &problem) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  const llvm::Triple triple(target.triple);
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, problem);
  if (!found)
    return nullptr;
  if (!triple.isX86() || !triple.isArch64Bit() || !triple.isOSBinFormatELF()) {
    problem = "images are written for x86-64 with ELF objects alone";
    return nullptr;
  }
  return std::unique_ptr<llvm::TargetMachine>(
      found->createTargetMachine(triple, target.cpu, target.features, llvm::TargetOptions(), llvm::Reloc::PIC_,
                                 llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

// Nothing outside: no function of a C library may come in for a loop or an operation.
void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = false; // the code says what is a vector
  llvm::PassBuilder builder(&machine, tuning);
  functions.registerPass([&] {
    llvm::TargetLibraryInfoImpl none(machine.getTargetTriple());
    none.disableAllFunctions();
    return llvm::TargetLibraryAnalysis(none);
  });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

// An object's sections one behind another, with every place that names another filled in: all such names are
// distances, as code and constants move together.
class Linker {
public:
  explicit Linker(const llvm::object::ELF64LEObjectFile &object) : object(object) {}

  llvm::Error run(std::string &image, uint64_t &entry) {
    for (const llvm::object::ELFSectionRef section : object.sections()) {
      const bool loaded = section.getFlags() & llvm::ELF::SHF_ALLOC;
      llvm::Expected<llvm::StringRef> name = section.getName(), bytes = section.getContents();
      if (!name || !bytes)
        return llvm::joinErrors(name.takeError(), bytes.takeError());
      if (!loaded || bytes->empty() || *name == ".eh_frame")
        continue;
      if (section.getFlags() & llvm::ELF::SHF_WRITE)
        return error("section '" + *name + "' may be written to");
      image.resize(llvm::alignTo(image.size(), section.getAlignment()));
      places[section.getIndex()] = image.size();
      image += *bytes;
    }
    for (const llvm::object::SectionRef section : object.sections())
      for (const llvm::object::RelocationRef relocation : section.relocations())
        if (llvm::Error bad = apply(section, relocation, image))
          return bad;
    for (const llvm::object::SymbolRef symbol : object.symbols()) {
      llvm::Expected<llvm::StringRef> name = symbol.getName();
      if (name && *name == kEntryName) {
        llvm::Expected<uint64_t> at = addressOf(symbol);
        if (!at)
          return at.takeError();
        entry = *at;
        return llvm::Error::success();
      }
      llvm::consumeError(name.takeError());
    }
    return error("no entry");
  }

private:
  static llvm::Error error(const llvm::Twine &what) {
    return llvm::createStringError("the object code cannot stand alone: " + what);
  }

  llvm::Expected<uint64_t> addressOf(const llvm::object::SymbolRef &symbol) {
    auto section = symbol.getSection();
    if (!section)
      return section.takeError();
    auto place = *section == object.section_end() ? places.end() : places.find((*section)->getIndex());
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (place == places.end())
      return error("it wants '" + (name ? *name : "?") + "'");
    llvm::Expected<uint64_t> offset = symbol.getValue();
    return offset ? llvm::Expected<uint64_t>(place->second + *offset) : offset.takeError();
  }

  llvm::Error apply(const llvm::object::SectionRef &relocations, const llvm::object::ELFRelocationRef &relocation,
                    std::string &image) {
    auto target = relocations.getRelocatedSection();
    if (!target)
      return target.takeError();
    auto place = places.find((*target)->getIndex());
    if (place == places.end())
      return llvm::Error::success();
    if (relocation.getType() != llvm::ELF::R_X86_64_PC32 && relocation.getType() != llvm::ELF::R_X86_64_PLT32) {
      llvm::SmallString<32> name;
      relocation.getTypeName(name);
      return error("a relocation " + name.str());
    }
    llvm::Expected<uint64_t> symbol = addressOf(*relocation.getSymbol());
    if (!symbol)
      return symbol.takeError();
    llvm::Expected<int64_t> addend = relocation.getAddend();
    if (!addend)
      return addend.takeError();
    const uint64_t at = place->second + relocation.getOffset();
    llvm::support::endian::write32le(image.data() + at, uint32_t(*symbol + *addend - at));
    return llvm::Error::success();
  }

  const llvm::object::ELF64LEObjectFile &object;
  llvm::DenseMap<uint64_t, uint64_t> places; // where a section begins in the image
};

} // namespace

LogicalResult compileToImage(kernel::CodeOp code, const CodegenTarget &target) {
  std::string problem;
  std::unique_ptr<llvm::TargetMachine> machine = machineFor(target, problem);
  if (!machine)
    return code.emitOpError("cannot be compiled for '") << target.triple << "': " << problem;
  FailureOr<OwningOpRef<ModuleOp>> lowered = lowerToLLVM(code);
  if (failed(lowered))
    return failure();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(**lowered, context, code.getSymName());
  if (!module)
    return code.emitOpError("does not translate to LLVM IR");
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.features);
    function.addFnAttr("prefer-vector-width", std::to_string(target.vector_bytes * 8));
    function.setDoesNotThrow();
  }
  optimize(*module, *machine);

  llvm::SmallString<0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager emit;
  llvm::TargetLibraryInfoImpl none(machine->getTargetTriple());
  none.disableAllFunctions();
  emit.add(new llvm::TargetLibraryInfoWrapperPass(none));
  if (machine->addPassesToEmitFile(emit, out, nullptr, llvm::CodeGenFileType::ObjectFile))
    return code.emitOpError("cannot be written as object code for '") << target.triple << "'";
  emit.run(*module);

  auto object = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(bytes, code.getSymName()));
  std::string image;
  uint64_t entry = 0;
  llvm::Error bad =
      object ? Linker(*cast<llvm::object::ELF64LEObjectFile>(object->get())).run(image, entry) : object.takeError();
  if (bad)
    return code.emitOpError() << llvm::toString(std::move(bad));
  Builder b(code.getContext());
  code.getBody().front().clear();
  code.setEntryAttr(b.getI64IntegerAttr(entry));
  code.setTargetAttr(b.getStringAttr(target.features.empty() ? target.cpu : target.cpu + " " + target.features));
  code.setImageAttr(b.getStringAttr(image));
  return success();
}

} // namespace modelc::codegen
