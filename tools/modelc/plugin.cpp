// modelc plugin list | check PATH | new NAME
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/compiler/generate.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"
#include "plugins/conformance/conformance.h"
#include "plugins/loader/plugin.h"
#include "tools/modelc/commands.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;
using conformance::Outcome;
using conformance::Result;

void Declare(po::options_description& options, po::positional_options_description& positional) {
  positional.add("action", 1).add("target", 1);
  options.add_options()
      ("action", po::value<std::string>(), "list, check or new")
      ("target", po::value<std::string>(), "check: the plugin's path; new: its name")
      ("op", po::value<std::string>()->default_value(""), "check: this op alone; 'device' and 'manifest' for what belongs to none")
      ("generated", po::bool_switch(), "check: the code modelc generates for the device, not the plugin's kernels")
      ("perf", po::bool_switch(), "check: time kernels at the published model's sizes instead");
}

// list

nlohmann::json Describe(const FoundPlugin& found) {
  nlohmann::json entry = {{"path", found.path.string()}};
  if (!found.plugin.ok()) {
    entry["error"] = std::string(found.plugin.status().message());
    return entry;
  }
  const Plugin& plugin = **found.plugin;
  entry["name"] = plugin.name();
  entry["version"] = plugin.version();
  entry["abi"] = absl::StrCat(plugin.api().abi_major, ".", plugin.api().abi_minor);
  entry["devices"] = nlohmann::json::array();
  absl::StatusOr<uint32_t> count = plugin.DeviceCount();
  if (!count.ok()) entry["error"] = std::string(count.status().message());
  for (uint32_t ordinal = 0; count.ok() && ordinal < *count; ++ordinal) {
    absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(&plugin, ordinal, 0);
    if (device.ok()) {
      entry["devices"].push_back({{"name", (*device)->info().name}, {"memory_bytes", (*device)->info().memory_bytes}});
    } else {
      entry["devices"].push_back({{"error", std::string(device.status().message())}});
    }
  }
  return entry;
}

absl::StatusOr<int> List(const po::variables_map& flags) {
  PluginSearch search;
  if (flags.count("plugin")) {
    for (const auto& path : flags["plugin"].as<std::vector<std::string>>()) search.explicit_paths.push_back(path);
  }
  nlohmann::json plugins = nlohmann::json::array();
  for (const FoundPlugin& found : FindPlugins(search)) plugins.push_back(Describe(found));
  if (flags["json"].as<bool>()) {
    std::cout << nlohmann::json{{"plugins", plugins}}.dump(2) << "\n";
    return 0;
  }
  if (plugins.empty()) {
    std::cout << "no plugins; set MODELC_PLUGIN_PATH to the folder of libmodelc_*.so, or name one with --plugin\n";
  }
  for (const nlohmann::json& p : plugins) {
    if (!p.contains("name")) {
      std::cout << "not loaded: " << p["error"].get<std::string>() << "\n";
      continue;
    }
    std::cout << absl::StreamFormat("%-10s %-10s ABI %s  %s\n", p["name"].get<std::string>(),
                                    p["version"].get<std::string>(), p["abi"].get<std::string>(),
                                    p["path"].get<std::string>());
    if (p.contains("error")) std::cout << "  " << p["error"].get<std::string>() << "\n";
    if (p["devices"].empty()) std::cout << "  no device\n";
    for (size_t i = 0; i < p["devices"].size(); ++i) {
      const nlohmann::json& device = p["devices"][i];
      if (device.contains("error")) {
        std::cout << absl::StreamFormat("  device %d  %s\n", i, device["error"].get<std::string>());
      } else {
        std::cout << absl::StreamFormat("  device %d  %s, %.1f GB\n", i, device["name"].get<std::string>(),
                                        device["memory_bytes"].get<double>() / 1e9);
      }
    }
  }
  return 0;
}

// check

struct Tally {
  int passed = 0, failed = 0, unsupported = 0;
  double nmse = 0;
  void Add(const Result& r) {
    ++(r.outcome == Outcome::kPassed ? passed : r.outcome == Outcome::kFailed ? failed : unsupported);
    nmse = std::max(nmse, r.nmse);
  }
};

// The first column of the tables: ops in the order of their first result.
std::vector<std::string> OpsOf(const std::vector<Result>& results) {
  std::vector<std::string> ops;
  for (const Result& r : results) {
    if (std::find(ops.begin(), ops.end(), r.op) == ops.end()) ops.push_back(r.op);
  }
  return ops;
}

std::string Subject(const Result& r) {
  return absl::StrCat(r.op, r.kernel.empty() ? "" : absl::StrCat(" [", r.kernel, "]"), "  ", r.name);
}

void PrintTable(const std::vector<Result>& results) {
  std::cout << absl::StreamFormat("%-26s %8s %8s %14s  %s\n", "op", "passed", "failed", "not supported", "worst NMSE");
  for (const std::string& op : OpsOf(results)) {
    Tally tally;
    for (const Result& r : results) {
      if (r.op == op) tally.Add(r);
    }
    std::cout << absl::StreamFormat("%-26s %8d %8d %14d  %s\n", op, tally.passed, tally.failed, tally.unsupported,
                                    tally.nmse > 0 ? absl::StrFormat("%.1e", tally.nmse) : "");
  }
}

// Failures one by one; what is not supported by its reason, since one missing kernel stands for many cases.
void PrintReasons(const std::vector<Result>& results) {
  std::map<std::string, int> missing;
  for (const Result& r : results) {
    if (r.outcome == Outcome::kUnsupported) ++missing[absl::StrCat(r.op, ": ", r.detail)];
    if (r.outcome == Outcome::kFailed) std::cout << "\nFAILED " << Subject(r) << "\n       " << r.detail << "\n";
  }
  if (!missing.empty()) std::cout << "\nnot supported:\n";
  for (const auto& [reason, cases] : missing) std::cout << absl::StreamFormat("  %s (%d cases)\n", reason, cases);
}

void PrintTime(const Result& r) {
  if (r.outcome != Outcome::kPassed) return;
  std::cout << absl::StreamFormat("%9.1f us %10.1f %8.1f  %s", r.seconds * 1e6, r.flops / r.seconds / 1e9,
                                  r.bytes / r.seconds / 1e9, Subject(r))
            << std::endl;
}

nlohmann::json ToJson(const Result& r, bool perf) {
  static constexpr const char* kOutcomes[] = {"passed", "failed", "unsupported"};
  nlohmann::json entry = {{"op", r.op}, {"case", r.name}, {"outcome", kOutcomes[static_cast<int>(r.outcome)]}};
  if (!r.kernel.empty()) entry["kernel"] = r.kernel;
  if (!r.detail.empty()) entry["detail"] = r.detail;
  if (r.nmse > 0) entry["nmse"] = r.nmse;
  if (perf && r.outcome == Outcome::kPassed) {
    entry.update({{"seconds", r.seconds}, {"flop_s", r.flops / r.seconds}, {"bytes_s", r.bytes / r.seconds}});
  }
  return entry;
}

absl::StatusOr<conformance::CodeFor> Generated(const std::string& manifest, const std::string& op,
                                               const std::string& attributes,
                                               const std::vector<conformance::CodeTensor>& tensors) {
  std::vector<TensorForm> forms;
  for (const conformance::CodeTensor& tensor : tensors) forms.push_back({tensor.dtype, tensor.dims});
  MODELC_ASSIGN_OR_RETURN(Code code, GenerateCode(manifest, op, attributes, forms));
  return conformance::CodeFor{std::move(code.image), std::move(code.description)};
}

absl::StatusOr<int> Check(const po::variables_map& flags, const std::string& path) {
  MODELC_ASSIGN_OR_RETURN(const Plugin* plugin, Plugin::Load(path));
  conformance::Options options;
  options.threads = flags["threads"].as<unsigned>();
  options.op = flags["op"].as<std::string>();
  options.perf = flags["perf"].as<bool>();
  if (flags["generated"].as<bool>()) options.generate = Generated;
  const bool json = flags["json"].as<bool>();
  if (!json) std::cout << plugin->name() << " " << plugin->version() << "  " << plugin->path().string() << std::endl;
  const bool table = !json && !options.perf, times = !json && options.perf;
  if (times) std::cout << absl::StreamFormat("%12s %10s %8s  %s\n", "time", "GFLOP/s", "GB/s", "case");
  const auto progress = [&](const Result& r) {
    if (times) PrintTime(r);  // as they come: they take long
  };
  MODELC_ASSIGN_OR_RETURN(std::vector<Result> results, conformance::Run(*plugin, options, progress));
  Tally total;
  for (const Result& r : results) total.Add(r);
  if (json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Result& r : results) list.push_back(ToJson(r, options.perf));
    std::cout << nlohmann::json{{"plugin", plugin->name()},
                                {"version", plugin->version()},
                                {"path", plugin->path().string()},
                                {"passed", total.passed},
                                {"failed", total.failed},
                                {"unsupported", total.unsupported},
                                {"results", list}}
                     .dump(2)
              << "\n";
  } else {
    if (table) PrintTable(results);
    PrintReasons(results);
    std::cout << absl::StreamFormat("\n%d passed, %d failed, %d not supported\n", total.passed, total.failed,
                                    total.unsupported);
  }
  return total.failed == 0 ? 0 : 1;
}

// new

constexpr char kTemplateName[] = "mydevice";

fs::path ExecutableDir() {
  std::error_code ec;
  return fs::read_symlink("/proc/self/exe", ec).parent_path();
}

// The installed template, or the source tree's as seen from a build folder.
absl::StatusOr<fs::path> TemplateDir() {
  std::error_code ec;
  const fs::path bin = ExecutableDir(), installed = bin.parent_path() / "share" / "modelc" / "plugins" / "template";
  if (fs::exists(installed / "plugin.cpp", ec)) return installed;
  for (fs::path up = bin; up.has_relative_path(); up = up.parent_path()) {
    if (fs::exists(up / "plugins" / "template" / "plugin.cpp", ec)) return up / "plugins" / "template";
  }
  return absl::NotFoundError(absl::StrCat("the template is not where it was installed, ", installed.string(),
                                          "; install modelc again"));
}

absl::Status CheckName(const std::string& name) {
  const auto valid = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || name.size() > 40 || name[0] < 'a' || name[0] > 'z' || !std::all_of(name.begin(), name.end(), valid)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name, "' cannot name a plugin; use up to 40 lower-case letters, digits and '_', a letter first"));
  }
  return absl::OkStatus();
}

// Writes the template's files, renamed, into `folder`; on an error `folder` is left half full for the caller to remove.
absl::Status WriteTemplate(const fs::path& from, const std::string& name, const fs::path& folder) {
  std::error_code ec;
  for (fs::directory_iterator it(from, ec), end; !ec && it != end; it.increment(ec)) {
    MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(it->path()));
    std::ofstream out(folder / it->path().filename(), std::ios::binary);
    out << absl::StrReplaceAll(text, {{kTemplateName, name}});
    out.close();
    if (!out) return absl::InternalError(absl::StrCat("cannot write ", (folder / it->path().filename()).string()));
  }
  return ec ? absl::InternalError(absl::StrCat("cannot list ", from.string(), ": ", ec.message())) : absl::OkStatus();
}

absl::StatusOr<int> New(const std::string& name) {
  MODELC_RETURN_IF_ERROR(CheckName(name));
  MODELC_ASSIGN_OR_RETURN(const fs::path from, TemplateDir());
  const fs::path folder = name, unfinished = absl::StrCat(".", name, ".unfinished");
  std::error_code ec;
  if (fs::exists(folder, ec)) {
    return absl::AlreadyExistsError(absl::StrCat("./", name, " is there already; choose another name or remove it"));
  }
  fs::remove_all(unfinished, ec);
  if (!fs::create_directory(unfinished, ec)) {
    return absl::PermissionDeniedError(absl::StrCat("cannot make a folder here: ", ec.message()));
  }
  absl::Status status = WriteTemplate(from, name, unfinished);
  if (status.ok()) {
    fs::rename(unfinished, folder, ec);
    if (ec) status = absl::InternalError(absl::StrCat("cannot make ./", name, ": ", ec.message()));
  }
  if (!status.ok()) {
    fs::remove_all(unfinished, ec);
    return status;
  }
  std::cout << "wrote ./" << name << "; next:\n"
            << "  cmake -S " << name << " -B " << name << "/build -DCMAKE_PREFIX_PATH=" << ExecutableDir().parent_path().string()
            << "\n  cmake --build " << name << "/build\n"
            << "  modelc plugin check " << name << "/build/libmodelc_" << name << ".so\n";
  return 0;
}

absl::StatusOr<int> RunPlugin(const po::variables_map& flags) {
  const std::string action = flags.count("action") ? flags["action"].as<std::string>() : "";
  const bool has_target = flags.count("target") > 0;
  if (action == "list" && !has_target) return List(flags);
  if (action == "check" && has_target) return Check(flags, flags["target"].as<std::string>());
  if (action == "new" && has_target) return New(flags["target"].as<std::string>());
  return absl::InvalidArgumentError("use 'plugin list', 'plugin check PATH' or 'plugin new NAME'; see 'modelc plugin --help'");
}

}  // namespace

const Command kPluginCommand = {
    "plugin",
    "lists backends, checks one, or starts a new one",
    "modelc plugin list           found plugins, their versions and devices, and why others failed to load\n"
    "modelc plugin check PATH     runs the conformance suite: every op of plugins/abi/ops.md, and the device itself\n"
    "modelc plugin new NAME       writes a small working plugin into ./NAME\n\n"
    "  modelc plugin check build/libmodelc_mine.so --op linear\n"
    "  modelc plugin check build/libmodelc_mine.so --perf\n",
    Declare,
    RunPlugin,
};

}  // namespace modelc
