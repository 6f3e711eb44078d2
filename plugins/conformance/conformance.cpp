#include "plugins/conformance/conformance.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "plugins/conformance/case.h"
#include "plugins/conformance/check_case.h"
#include "plugins/conformance/code_tensors.h"
#include "plugins/conformance/device_tests.h"

namespace modelc::conformance {
namespace {

bool Claims(const ManifestKernel& kernel, const Case& c) {
  if (kernel.op != c.op) return false;
  return Takes(kernel, [&](std::string_view name) -> std::optional<WhereValue> {
    const auto it = c.names.find(name);
    return it == c.names.end() ? std::nullopt : std::optional<WhereValue>(it->second);
  });
}

// Why no kernel claims the case.
std::string WhyUnsupported(const Manifest& manifest, const Case& c) {
  std::vector<std::string> conditions;
  for (const ManifestKernel& kernel : manifest.kernels) {
    if (kernel.op != c.op) continue;
    conditions.push_back(absl::StrCat("'", kernel.name, "' wants ",
                                      kernel.where.empty() ? "weights of other dtypes" : kernel.where));
  }
  return conditions.empty() ? "no kernel for the op" : absl::StrJoin(conditions, "; ");
}

// What the schema check cannot see: ops that do not exist, and names in `where` the op has not.
std::vector<Result> CheckManifest(const Manifest& manifest, const std::vector<Case>& cases) {
  std::map<std::string, std::set<std::string, std::less<>>> known;
  for (const Case& c : cases) {
    auto& names = known[c.op];
    for (const auto& [name, value] : c.names) names.insert(name);
  }
  std::vector<Result> results;
  for (const ManifestKernel& kernel : manifest.kernels) {
    Result result;
    result.op = "manifest";
    result.name = absl::StrCat("kernel '", kernel.name, "'");
    result.kernel = kernel.name;
    const auto op = known.find(kernel.op);
    if (op == known.end()) {
      result.detail = absl::StrCat("op '", kernel.op, "' is not in ops.md");
    } else {
      std::set<std::string> unknown;
      (void)EvaluateWhere(kernel.where, [&](std::string_view name) -> std::optional<WhereValue> {
        if (!op->second.contains(name)) unknown.emplace(name);
        return std::nullopt;
      });
      if (!unknown.empty()) {
        result.detail = absl::StrCat("'where' uses ", absl::StrJoin(unknown, ", "), ", which op '", kernel.op,
                                     "' has not; it knows ", absl::StrJoin(op->second, ", "));
      }
    }
    result.outcome = result.detail.empty() ? Outcome::kPassed : Outcome::kFailed;
    results.push_back(std::move(result));
  }
  return results;
}

// For every op the first case a kernel claims that has something to compute.
std::vector<Sample> Samples(const Manifest& manifest, const std::vector<Case>& cases) {
  std::vector<Sample> samples;
  std::set<std::string> seen;
  for (const Case& c : cases) {
    if (c.timed || seen.contains(c.op)) continue;
    for (const ManifestKernel& kernel : manifest.kernels) {
      if (!Claims(kernel, c)) continue;
      samples.push_back({kernel.name, &c});
      seen.insert(c.op);
      break;
    }
  }
  return samples;
}

// The kernels a case runs on, by name.
using Kernels = std::vector<std::pair<std::string, MakeKernel>>;

Kernels ListedKernels(const Manifest& manifest, const Case& c) {
  Kernels kernels;
  for (const ManifestKernel& kernel : manifest.kernels) {
    if (!Claims(kernel, c)) continue;
    kernels.emplace_back(kernel.name, [name = kernel.name, attributes = c.attributes.dump()](Device& device) {
      return device.Resolve(name, attributes);
    });
  }
  return kernels;
}

// Generated code for the case's tensors; `why` says why there is none.
Kernels GeneratedKernels(const Generate& generate, const Device& device, const Case& c, std::string& why) {
  Random random(c.op + " " + c.name);
  absl::StatusOr<CodeFor> code =
      generate(device.manifest(), c.op, c.attributes.dump(), CodeTensors(c.op, c.make(random)));
  if (absl::IsUnimplemented(code.status())) {
    why = std::string(code.status().message());
    return {};
  }
  return {{"generated", [code = std::move(code)](Device& on) -> absl::StatusOr<DeviceKernel> {
             MODELC_RETURN_IF_ERROR(code.status());
             return on.Load(code->image, code->description);
           }}};
}

}  // namespace

absl::StatusOr<std::vector<Result>> Run(const Plugin& plugin, const Options& options,
                                        const std::function<void(const Result&)>& progress) {
  const std::vector<Case> cases = AllCases();
  if (!options.op.empty() && options.op != "device" && options.op != "manifest") {
    std::set<std::string> ops;
    for (const Case& c : cases) ops.insert(c.op);
    if (!ops.contains(options.op)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no op '", options.op, "'; there are device, manifest, ", absl::StrJoin(ops, ", ")));
    }
  }
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(&plugin, options.ordinal, options.threads));
  absl::StatusOr<Manifest> manifest = ParseManifest(device->manifest());
  if (!manifest.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("plugin '", Absl(plugin.name()), "': ", manifest.status().message()));
  }
  std::unique_ptr<Device> single;
  if (device->info().threads > 1) {
    MODELC_ASSIGN_OR_RETURN(single, Device::Open(&plugin, options.ordinal, 1));
  }

  std::vector<Result> results;
  const auto wanted = [&](const std::string& op) { return options.op.empty() || options.op == op; };
  const auto add = [&](Result result) {
    progress(result);
    results.push_back(std::move(result));
  };
  if (!options.perf && !options.generate && wanted("manifest")) {
    for (Result& result : CheckManifest(*manifest, cases)) add(std::move(result));
  }
  if (!options.perf && !options.generate && wanted("device")) {
    for (Result& result : RunDeviceTests(plugin, *device, options, Samples(*manifest, cases), progress)) {
      results.push_back(std::move(result));
    }
  }
  for (const Case& c : cases) {
    if (c.timed != options.perf || !wanted(c.op)) continue;
    std::string why = options.generate ? "" : WhyUnsupported(*manifest, c);
    const Kernels kernels =
        options.generate ? GeneratedKernels(options.generate, *device, c, why) : ListedKernels(*manifest, c);
    for (const auto& [name, make] : kernels) {
      add(options.perf ? TimeCase(c, name, make, *device) : CheckCase(c, name, make, *device, single.get()));
    }
    if (!kernels.empty()) continue;
    Result result;
    result.op = c.op;
    result.name = c.name;
    result.outcome = Outcome::kUnsupported;
    result.detail = std::move(why);
    add(std::move(result));
  }
  return results;
}

}  // namespace modelc::conformance
