import os
import lit.formats

config.name = "modelc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.build_dir, "lit")
config.environment["PATH"] = os.pathsep.join([os.path.dirname(config.modelc), config.llvm_tools, os.environ["PATH"]])
root = os.path.dirname(os.path.dirname(config.test_source_root))
config.substitutions += [("%inputs", os.path.join(config.test_source_root, "Inputs")),
                         ("%manifest", "--manifest " + os.path.join(config.test_source_root, "Inputs", "all-ops.json")),
                         ("%set_topk", config.set_topk),
                         ("%research", config.research),
                         ("%root", root)]
