#include "core/compiler/library.h"

extern "C" __attribute__((visibility("default"))) const modelc::CompilerLibrary modelc_compiler = {
    .version = MODELC_VERSION,
    .compile_model = modelc::CompileModel,
    .compile_model_file = modelc::CompileModelFile,
    .scheduled_ops = modelc::ScheduledOps,
    .generate_code = modelc::GenerateCode,
    .run_opt = modelc::RunOpt,
};
