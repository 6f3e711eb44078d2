// Program → JSON. Keys come out sorted and numbers in shortest form, so equal programs give equal bytes.
#include "absl/strings/escaping.h"
#include "core/program/program.h"
#include "core/program/schema.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

using nlohmann::json;

json ToJson(const Shape& shape) {
  json dims = json::array();
  for (const Dim& dim : shape.dims) {
    if (dim.dynamic) {
      dims.push_back(json::array({dim.factor, Name(dim.size)}));
    } else {
      dims.push_back(dim.factor);
    }
  }
  return {{"dtype", Name(shape.dtype)}, {"dims", std::move(dims)}};
}

json ToJson(const Operand& operand) {
  const std::string_view kind = schema::kOperandKinds[static_cast<int>(operand.kind)];
  switch (operand.kind) {
    case Operand::Kind::kNone: return json::array({kind});
    case Operand::Kind::kInput: return json::array({kind, schema::kInputs[operand.index]});
    default: return json::array({kind, operand.index});
  }
}

json ToJson(const Launch& launch) {
  json out = {{"op", launch.op}, {"kernel", launch.kernel}, {"attributes", launch.attributes}};
  json& operands = out["operands"] = json::array();
  for (const Operand& operand : launch.operands) operands.push_back(ToJson(operand));
  if (launch.condition.when != Condition::When::kAlways) {
    out["condition"] = {{"when", schema::kWhens[static_cast<int>(launch.condition.when)]},
                        {"context", launch.condition.context}};
  }
  if (launch.code) out["code"] = *launch.code;
  for (const TapPoint& tap : launch.taps) out["taps"].push_back({{"name", tap.name}, {"operand", tap.operand}});
  if (!launch.location.empty()) out["location"] = launch.location;
  return out;
}

json ToJson(const Entry& entry) {
  json body = json::array();
  for (const Repeat& repeat : entry.body) {
    json launches = json::array();
    for (const Launch& launch : repeat.launches) launches.push_back(ToJson(launch));
    body.push_back({{"first", repeat.first}, {"count", repeat.count}, {"launches", std::move(launches)}});
  }
  return {{"name", entry.name}, {"body", std::move(body)}, {"outputs", entry.outputs}};
}

}  // namespace

std::string Serialize(const Program& program) {
  json out = {{schema::kMagic, schema::kVersion}, {"model", program.model},           {"backend", program.backend},
              {"numerics", program.numerics},     {"parameters", program.parameters}, {"arena_bytes", program.arena_bytes},
              {"hash", program.hash},                 {"weights_folder", program.weights_folder}};
  for (int i = 0; i < kNumSizes; ++i) out["limits"][std::string(Name(static_cast<Size>(i)))] = program.limits[i];
  for (const char* list : {"buffers", "weights", "constants", "code", "caches", "entries"}) out[list] = json::array();
  for (const Buffer& buffer : program.buffers) {
    out["buffers"].push_back(
        {{"name", buffer.name}, {"shape", ToJson(buffer.shape)}, {"offset", buffer.offset}, {"bytes", buffer.bytes}});
  }
  for (const Weight& weight : program.weights) {
    out["weights"].push_back({{"name", weight.name},
                              {"scale", weight.scale},
                              {"dtype", Name(weight.dtype)},
                              {"shape", weight.shape},
                              {"experts", weight.experts}});
    if (weight.format) out["weights"].back()["format"] = Name(*weight.format);
  }
  for (const Constant& constant : program.constants) {
    out["constants"].push_back({{"name", constant.name}, {"values", constant.values}});
  }
  for (const Code& code : program.code) {
    out["code"].push_back({{"description", code.description},
                           {"image", absl::Base64Escape(absl::string_view(code.image))},
                           {"crc32", schema::Checksum(code)}});
  }
  for (const Cache& cache : program.caches) {
    out["caches"].push_back({{"kind", schema::kCacheKinds[static_cast<int>(cache.kind)]},
                             {"layers", cache.layers},
                             {"page_bytes", cache.page_bytes},
                             {"format", cache.format}});
  }
  for (const Entry& entry : program.entries) out["entries"].push_back(ToJson(entry));
  return out.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace modelc
