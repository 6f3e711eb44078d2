//===- Export.cpp - the kernel dialect as a Program -----------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/kernel/Json.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace modelc;

namespace {

std::string locationOf(Location loc) {
  auto file = loc->findInstanceOf<FileLineColLoc>();
  return file ? file.getFilename().str() + ":" + std::to_string(file.getLine()) : "";
}

class Exporter {
public:
  explicit Exporter(kernel::ProgramOp op) : op(op) {}

  FailureOr<Program> run() {
    if (!op.getArenaBytes())
      return op.emitOpError("has no planned memory; run kernel-plan-memory first");
    program.model = op.getSymName().str();
    program.arena_bytes = *op.getArenaBytes();
    llvm::copy(op.getLimits(), program.limits.begin());
    for (NamedAttribute parameter : op.getParameters())
      program.parameters[parameter.getName().str()] = lm::numberOf(parameter.getValue());
    for (Operation &declared : op.getBody().front())
      if (failed(declare(&declared)))
        return failure();
    for (auto entry : op.getBody().front().getOps<kernel::EntryOp>())
      if (failed(addEntry(entry)))
        return failure();
    return std::move(program);
  }

private:
  LogicalResult declare(Operation *declared) {
    auto note = [&](StringRef name, Operand::Kind kind, size_t index) { symbols[name] = {kind, uint32_t(index)}; };
    if (auto buffer = dyn_cast<kernel::BufferOp>(declared)) {
      note(buffer.getSymName(), Operand::Kind::kBuffer, program.buffers.size());
      Buffer out{buffer.getSymName().str(), {dtypeOf(buffer.getType()), {}}, 0, 0};
      for (Attribute dim : buffer.getDims())
        out.shape.dims.push_back(*kernel::parseDim(dim));
      out.offset = buffer.getOffset().value_or(0);
      out.bytes = buffer.getBytes().value_or(0);
      program.buffers.push_back(std::move(out));
    } else if (auto weight = dyn_cast<kernel::WeightOp>(declared)) {
      note(weight.getSymName(), Operand::Kind::kWeight, program.weights.size());
      auto type = cast<RankedTensorType>(weight.getType());
      Weight out{weight.getName().str(), weight.getScale().str(), dtypeOf(type.getElementType()), type.getShape().vec(),
                 0};
      if (auto format = weight.getFormat())
        out.format = ParseDType({format->data(), format->size()});
      out.experts = weight.getName().contains("{expert}") ? out.shape.front() : 0;
      program.weights.push_back(std::move(out));
    } else if (auto constant = dyn_cast<kernel::ConstantOp>(declared)) {
      note(constant.getSymName(), Operand::Kind::kConstant, program.constants.size());
      program.constants.push_back({constant.getSymName().str(), constant.getValues().vec()});
    } else if (auto code = dyn_cast<kernel::CodeOp>(declared)) {
      codeNumbers[code.getSymName()] = program.code.size();
      if (!code.getImage())
        return code.emitOpError("is not compiled; run kernel-compile first");
      program.code.push_back({descriptionOf(code), code.getImage()->str()});
    } else if (auto cache = dyn_cast<kernel::CacheOp>(declared)) {
      note(cache.getSymName(), Operand::Kind::kCache, program.caches.size());
      program.caches.push_back({cache.getSymName() == "latent" ? CacheKind::kLatent : CacheKind::kIndex,
                                int64_t(cache.getLayers()), int64_t(cache.getPageBytes()), cache.getFormat().str()});
    }
    return success();
  }

  LogicalResult addEntry(kernel::EntryOp entry) {
    Entry out;
    out.name = entry.getSymName().str();
    for (NamedAttribute output : entry.getOutputs())
      out.outputs[output.getName().str()] = symbols[cast<FlatSymbolRefAttr>(output.getValue()).getValue()].index;
    for (auto repeat : entry.getBody().front().getOps<kernel::RepeatOp>()) {
      Repeat &layers = out.body.emplace_back();
      layers.first = repeat.getFirst();
      layers.count = repeat.getCount();
      for (auto launch : repeat.getBody().front().getOps<kernel::LaunchOp>())
        if (failed(addLaunch(launch, layers)))
          return failure();
    }
    program.entries.push_back(std::move(out));
    return success();
  }

  LogicalResult addLaunch(kernel::LaunchOp launch, Repeat &layers) {
    FailureOr<nlohmann::json> attributes = jsonOf(launch.getStatics());
    if (failed(attributes))
      return launch.emitOpError("has attributes that are neither numbers, truth values nor strings: ")
             << launch.getStatics();
    Launch out;
    out.op = launch.getOp().str();
    out.kernel = launch.getKernel().str();
    out.attributes = attributes->dump();
    out.location = locationOf(launch.getLoc());
    for (Attribute tensor : launch.getTensors()) {
      if (auto input = dyn_cast<StringAttr>(tensor))
        out.operands.push_back({Operand::Kind::kInput, uint32_t(*kernel::parseInput(input.getValue()))});
      else if (auto ref = dyn_cast<FlatSymbolRefAttr>(tensor))
        out.operands.push_back(symbols[ref.getValue()]);
      else
        out.operands.push_back({});
    }
    if (launch.getAbove())
      out.condition = {Condition::When::kContextAbove, int64_t(*launch.getAbove())};
    else if (launch.getAtMost())
      out.condition = {Condition::When::kContextAtMost, int64_t(*launch.getAtMost())};
    if (launch.getKernel() == kernel::kGenerated) {
      auto number = codeNumbers.find(launch.getCode().value_or(""));
      if (number == codeNumbers.end())
        return launch.emitOpError("runs generated code that is not there; run kernel-generate first");
      out.code = number->second;
    }
    if (launch.getTap()) {
      const uint32_t first = out.operands.size() - launch.getResults();
      for (auto [i, name] : llvm::enumerate(launch.getTap()->getAsRange<StringAttr>()))
        out.taps.push_back({name.getValue().str(), uint32_t(first + i)});
    }
    layers.launches.push_back(std::move(out));
    return success();
  }

  kernel::ProgramOp op;
  Program program;
  llvm::StringMap<Operand> symbols;
  llvm::StringMap<uint32_t> codeNumbers;
};

} // namespace

FailureOr<Program> modelc::exportProgram(ModuleOp module) {
  auto programs = llvm::to_vector(module.getOps<kernel::ProgramOp>());
  if (programs.size() != 1)
    return module.emitError("holds ") << programs.size() << " kernel.program ops; want one";
  return Exporter(programs.front()).run();
}
