#include "plugins/manifest/manifest.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

// or := and ("or" and)* ; and := not ("and" not)* ; not := "not" not | "(" or ")" | sum cmp sum
// sum := product (("+"|"-") product)* ; product := atom (("*"|"%"|"/") atom)* ; atom := number | name
class Where {
 public:
  Where(std::string_view text, const WhereLookup& lookup) : text_(text), lookup_(lookup) { Next(); }

  absl::StatusOr<bool> Run() {
    MODELC_ASSIGN_OR_RETURN(bool value, Or(0));
    if (!token_.empty()) return Error("expected the end");
    return value;
  }

 private:
  static constexpr int kDeepest = 64;
  using Value = std::optional<WhereValue>;

  void Next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    size_t start = at_;
    if (at_ == text_.size()) {
      token_ = {};
      return;
    }
    auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
    if (word(text_[at_])) {
      while (at_ < text_.size() && word(text_[at_])) ++at_;
    } else if (std::string_view("=!<>").find(text_[at_]) != std::string_view::npos) {
      while (at_ < text_.size() && std::string_view("=!<>").find(text_[at_]) != std::string_view::npos) ++at_;
    } else {
      ++at_;
    }
    token_ = text_.substr(start, at_ - start);
  }
  bool Take(std::string_view token) {
    if (token_ != token) return false;
    Next();
    return true;
  }
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("condition '", Absl(text_), "': ", Absl(what), " at '", Absl(token_), "'"));
  }

  absl::StatusOr<bool> Or(int depth) {
    MODELC_ASSIGN_OR_RETURN(bool value, And(depth));
    while (Take("or")) {
      MODELC_ASSIGN_OR_RETURN(bool rhs, And(depth));
      value = value || rhs;
    }
    return value;
  }
  absl::StatusOr<bool> And(int depth) {
    MODELC_ASSIGN_OR_RETURN(bool value, Not(depth));
    while (Take("and")) {
      MODELC_ASSIGN_OR_RETURN(bool rhs, Not(depth));
      value = value && rhs;
    }
    return value;
  }
  absl::StatusOr<bool> Not(int depth) {
    if (depth > kDeepest) return Error("nested too deeply");
    if (Take("not")) {
      MODELC_ASSIGN_OR_RETURN(bool value, Not(depth + 1));
      return !value;
    }
    if (Take("(")) {
      MODELC_ASSIGN_OR_RETURN(bool value, Or(depth + 1));
      if (!Take(")")) return Error("expected ')'");
      return value;
    }
    MODELC_ASSIGN_OR_RETURN(Value lhs, Sum());
    std::string_view comparison = token_;
    if (comparison != "==" && comparison != "!=" && comparison != "<" && comparison != "<=" && comparison != ">" &&
        comparison != ">=") {
      return Error("expected a comparison");
    }
    Next();
    MODELC_ASSIGN_OR_RETURN(Value rhs, Sum());
    return Compare(lhs, comparison, rhs);
  }
  static bool Compare(const Value& lhs, std::string_view comparison, const Value& rhs) {
    if (!lhs || !rhs || lhs->index() != rhs->index()) return false;
    if (comparison == "==") return *lhs == *rhs;
    if (comparison == "!=") return *lhs != *rhs;
    if (comparison == "<") return *lhs < *rhs;
    if (comparison == "<=") return *lhs <= *rhs;
    if (comparison == ">") return *lhs > *rhs;
    return *lhs >= *rhs;
  }
  absl::StatusOr<Value> Sum() {
    MODELC_ASSIGN_OR_RETURN(Value value, Product());
    while (token_ == "+" || token_ == "-") {
      char op = token_[0];
      Next();
      MODELC_ASSIGN_OR_RETURN(Value rhs, Product());
      value = Combine(value, op, rhs);
    }
    return value;
  }
  absl::StatusOr<Value> Product() {
    MODELC_ASSIGN_OR_RETURN(Value value, Atom());
    while (token_ == "*" || token_ == "%" || token_ == "/") {
      char op = token_[0];
      Next();
      MODELC_ASSIGN_OR_RETURN(Value rhs, Atom());
      value = Combine(value, op, rhs);
    }
    return value;
  }
  static Value Combine(const Value& lhs, char op, const Value& rhs) {
    if (!lhs || !rhs || lhs->index() != 0 || rhs->index() != 0) return std::nullopt;
    int64_t a = std::get<0>(*lhs), b = std::get<0>(*rhs), out = 0;
    switch (op) {
      case '+':
        return __builtin_add_overflow(a, b, &out) ? Value() : Value(out);
      case '-':
        return __builtin_sub_overflow(a, b, &out) ? Value() : Value(out);
      case '*':
        return __builtin_mul_overflow(a, b, &out) ? Value() : Value(out);
      case '%':
        return b <= 0 ? Value() : Value(a % b);
      default:
        return b <= 0 ? Value() : Value(a / b);
    }
  }
  absl::StatusOr<Value> Atom() {
    if (token_.empty() || !(std::isalnum(static_cast<unsigned char>(token_[0])) || token_[0] == '_')) {
      return Error("expected a name or a number");
    }
    std::string_view token = token_;
    Next();
    int64_t number;
    if (absl::SimpleAtoi(Absl(token), &number)) return Value(number);
    static constexpr std::string_view kWords[] = {"f32",        "bf16",        "f8e4m3", "f8",   "i8",
                                                  "i32",        "int8",        "int4",   "none", "e4m3_1x128_pow2",
                                                  "int8_1x128", "interleaved", "half"};
    for (std::string_view word : kWords) {
      if (token == word) return Value(std::string(token));
    }
    return lookup_(token);
  }

  std::string_view text_, token_;
  const WhereLookup& lookup_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<bool> EvaluateWhere(std::string_view where, const WhereLookup& lookup) {
  if (where.empty()) return true;
  return Where(where, lookup).Run();
}

bool Takes(const ManifestKernel& kernel, const WhereLookup& lookup) {
  static const std::vector<std::string>* const usual = new std::vector<std::string>{"f8e4m3", "bf16", "f32"};
  if (const std::optional<WhereValue> weight = lookup("W.dtype");
      weight && std::holds_alternative<std::string>(*weight)) {
    const std::vector<std::string>& taken = kernel.weights.empty() ? *usual : kernel.weights;
    if (std::find(taken.begin(), taken.end(), std::get<std::string>(*weight)) == taken.end()) return false;
  }
  const absl::StatusOr<bool> holds = EvaluateWhere(kernel.where, lookup);
  return holds.ok() && *holds;
}

bool Manifest::HasOp(std::string_view op) const {
  for (const ManifestKernel& kernel : kernels) {
    if (kernel.op == op) return true;
  }
  return false;
}

namespace {

// The device's target where it takes code of the generator there is.
absl::StatusOr<CodegenTarget> ParseTarget(const nlohmann::json& manifest) {
  const nlohmann::json device = manifest.value("device", nlohmann::json::object());
  if (!device.is_object() || !device.contains("codegen") || device["codegen"] != "llvm-cpu") return CodegenTarget();
  const nlohmann::json given = device.value("target", nlohmann::json());
  const auto field = [&](const char* name) { return given.is_object() ? given.value(name, nlohmann::json()) : nlohmann::json(); };
  const auto text = [&](const char* name) {
    const nlohmann::json value = field(name);
    return value.is_string() ? value.get<std::string>() : "";
  };
  CodegenTarget target{text("triple"), text("cpu"), text("features")};
  const nlohmann::json vector_bytes = field("vector_bytes");
  if (target.triple.empty() || target.cpu.empty() || !vector_bytes.is_number_unsigned()) {
    return absl::InvalidArgumentError(
        "manifest: codegen 'llvm-cpu' wants 'target' in 'device', with 'triple', 'cpu' and 'vector_bytes'");
  }
  target.vector_bytes = vector_bytes.get<int64_t>();
  if (target.vector_bytes != 16 && target.vector_bytes != 32 && target.vector_bytes != 64) {
    return absl::InvalidArgumentError("manifest: 'vector_bytes' must be 16, 32 or 64");
  }
  return target;
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto bad = [](auto... what) { return absl::InvalidArgumentError(absl::StrCat("manifest: ", what...)); };
  if (!json.is_object()) return bad("not a JSON object");
  if (!json.contains("schema") || json["schema"] != 1) return bad("'schema' must be 1");
  if (!json.contains("kernels") || !json["kernels"].is_array()) return bad("'kernels' must be a list");
  Manifest manifest;
  MODELC_ASSIGN_OR_RETURN(manifest.target, ParseTarget(json));
  std::set<std::string> names;
  for (const nlohmann::json& entry : json["kernels"]) {
    ManifestKernel kernel;
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() || !entry.contains("op") ||
        !entry["op"].is_string()) {
      return bad("each kernel needs a 'name' and an 'op', strings");
    }
    kernel.name = entry["name"].get<std::string>();
    kernel.op = entry["op"].get<std::string>();
    if (!names.insert(kernel.name).second) return bad("kernel '", kernel.name, "' is listed twice");
    if (entry.contains("rank")) {
      if (!entry["rank"].is_number_integer()) return bad("kernel '", kernel.name, "': 'rank' must be a whole number");
      kernel.rank = entry["rank"].get<int64_t>();
    }
    if (entry.contains("where")) {
      if (!entry["where"].is_string()) return bad("kernel '", kernel.name, "': 'where' must be a string");
      kernel.where = entry["where"].get<std::string>();
      if (auto readable = EvaluateWhere(kernel.where, [](std::string_view) { return std::nullopt; }); !readable.ok()) {
        return bad("kernel '", kernel.name, "': ", readable.status().message());
      }
    }
    if (entry.contains("weights")) {
      const nlohmann::json& weights = entry["weights"];
      const auto is_text = [](const nlohmann::json& word) { return word.is_string(); };
      if (!weights.is_array() || weights.empty() || !std::all_of(weights.begin(), weights.end(), is_text)) {
        return bad("kernel '", kernel.name, "': 'weights' must be a list of dtypes");
      }
      kernel.weights = weights.get<std::vector<std::string>>();
    }
    manifest.kernels.push_back(std::move(kernel));
  }
  return manifest;
}

}  // namespace modelc
