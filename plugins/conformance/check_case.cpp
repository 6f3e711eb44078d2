#include "plugins/conformance/check_case.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "plugins/conformance/placed.h"

namespace modelc::conformance {
namespace {

std::vector<HostTensor*> Outputs(Tensors& tensors) {
  std::vector<HostTensor*> outputs;
  for (HostTensor& t : tensors) {
    if (t.role != HostTensor::Role::kInput) outputs.push_back(&t);
  }
  return outputs;
}

// "output 1 at (3, 0): -5, want 2"
absl::Status Differs(size_t output, const HostTensor& t, int64_t i, double got, double want) {
  std::string at;
  for (size_t d = 0; d < t.shape.size(); ++d) {
    int64_t stride = 1;
    for (size_t j = d + 1; j < t.shape.size(); ++j) stride *= t.shape[j];
    absl::StrAppend(&at, d ? ", " : "", i / stride % t.shape[d]);
  }
  return absl::InternalError(absl::StrCat("output ", output, " at (", at, "): ", got, ", want ", want));
}

// Sets `nmse` to the worst of the float outputs.
absl::Status Compare(const Case& c, Tensors& tensors, const std::vector<Values>& expected, double& nmse) {
  const std::vector<HostTensor*> outputs = Outputs(tensors);
  for (size_t o = 0; o < outputs.size(); ++o) {
    const HostTensor& t = *outputs[o];
    const Values got = ToValues(t);
    const bool exact = t.dtype != MODELC_F32 || c.nmse == 0;
    double error = 0, energy = 0;
    for (int64_t i = 0; i < static_cast<int64_t>(got.size()); ++i) {
      const double want = expected[o][i];
      if (want == kAny) continue;
      if (std::isnan(want)) {
        if (!std::isnan(got[i])) return Differs(o, t, i, got[i], want);
        continue;
      }
      if (want == kUntouched) {
        if (got[i] != kBlankF32) {
          return absl::InternalError(absl::StrCat(Differs(o, t, i, got[i], kBlankF32).message(),
                                                  " (a column beyond the visible ones, not to be written)"));
        }
        continue;
      }
      if (exact ? got[i] != want : !std::isfinite(got[i])) return Differs(o, t, i, got[i], want);
      if (exact) continue;
      error += (got[i] - want) * (got[i] - want);
      energy += want * want;
    }
    if (error == 0) continue;
    const double relative = energy > 0 ? error / energy : std::numeric_limits<double>::infinity();
    nmse = std::max(nmse, relative);
    if (relative <= c.nmse) continue;
    int64_t worst = 0;
    const auto distance = [&](int64_t i) {
      if (expected[o][i] == kAny) return 0.0;
      const double d = std::fabs(got[i] - expected[o][i]);
      return std::isfinite(d) ? d : 0.0;
    };
    for (int64_t i = 1; i < static_cast<int64_t>(got.size()); ++i) worst = distance(i) > distance(worst) ? i : worst;
    return absl::InternalError(absl::StrCat("NMSE ", relative, ", at most ", c.nmse, " allowed; worst: ",
                                            Differs(o, t, worst, got[worst], expected[o][worst]).message()));
  }
  return absl::OkStatus();
}

HostTensor CutRow(const HostTensor& t, int64_t row) {
  HostTensor cut = t;
  cut.shape[0] = 1;
  const size_t width = t.bytes.size() / t.shape[0];
  cut.bytes.assign(t.bytes.begin() + row * width, t.bytes.begin() + (row + 1) * width);
  if (t.role == HostTensor::Role::kOutput) {
    HostTensor blank = Output(t.dtype, cut.shape);
    cut.bytes = blank.bytes;
  }
  return cut;
}

// Rows of the batch, or 0 when rows cannot be told apart in its outputs.
int64_t RowsOf(Tensors& tensors) {
  for (HostTensor* t : Outputs(tensors)) {
    if (!t->per_row) return 0;
  }
  return Outputs(tensors)[0]->shape[0];
}

// `batch` holds the outputs of the whole batch, `tensors` its inputs.
absl::Status CheckAlone(const Case& c, const DeviceKernel& kernel, Device& device, const Tensors& tensors,
                        Tensors& batch, const std::vector<Values>& expected) {
  const int64_t rows = RowsOf(batch);
  if (rows < 2) return absl::OkStatus();
  for (int64_t row : std::set<int64_t>{0, rows / 2, rows - 1}) {
    Tensors one;
    if (c.alone) {
      one = c.alone(tensors, row);
    } else {
      for (const HostTensor& t : tensors) one.push_back(t.per_row && !t.left_out ? CutRow(t, row) : t);
    }
    MODELC_RETURN_IF_ERROR(RunOnce(device, kernel, one));
    const std::vector<HostTensor*> alone = Outputs(one), whole = Outputs(batch);
    for (size_t o = 0; o < alone.size(); ++o) {
      const int64_t width = Elements(alone[o]->shape);
      const size_t bytes = alone[o]->bytes.size() / std::max<int64_t>(width, 1);
      for (int64_t i = 0; i < width; ++i) {
        const double want = expected[o][row * width + i];
        if (want == kAny || std::isnan(want)) continue;  // one NaN is as good as another
        if (std::memcmp(&alone[o]->bytes[i * bytes], &whole[o]->bytes[(row * width + i) * bytes], bytes) != 0) {
          return absl::InternalError(absl::StrCat("row ", row, " alone differs from itself in the batch of ", rows,
                                                  ": ", ToValues(*alone[o])[i], " and ",
                                                  ToValues(*whole[o])[row * width + i], " in output ", o));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSingleThread(const Case& c, const MakeKernel& make, Device& single, Tensors tensors, Tensors& batch,
                               const std::vector<Values>& expected) {
  MODELC_ASSIGN_OR_RETURN(DeviceKernel kernel, make(single));
  MODELC_RETURN_IF_ERROR(RunOnce(single, kernel, tensors));
  const std::vector<HostTensor*> one = Outputs(tensors), many = Outputs(batch);
  for (size_t o = 0; o < one.size(); ++o) {
    const Values a = ToValues(*one[o]), b = ToValues(*many[o]);
    for (size_t i = 0; i < a.size(); ++i) {
      if (expected[o][i] != kAny && a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) {
        return absl::InternalError(absl::StrCat("one thread gives ", a[i], ", several give ", b[i], " in output ", o));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const Case& c, const MakeKernel& make, Device& device, Device* single, double& nmse) {
  Random random(c.op + " " + c.name);
  const Tensors tensors = c.make(random);
  const std::vector<Values> expected = c.reference(tensors);
  MODELC_ASSIGN_OR_RETURN(DeviceKernel kernel, make(device));
  Tensors batch = tensors;
  MODELC_RETURN_IF_ERROR(RunOnce(device, kernel, batch));
  MODELC_RETURN_IF_ERROR(Compare(c, batch, expected, nmse));
  MODELC_RETURN_IF_ERROR(CheckAlone(c, kernel, device, tensors, batch, expected));
  return single == nullptr ? absl::OkStatus() : CheckSingleThread(c, make, *single, tensors, batch, expected);
}

absl::Status Time(const Case& c, const MakeKernel& make, Device& device, double& seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr double kEnough = 0.5;   // seconds of measuring
  constexpr double kBatch = 0.002;  // seconds of one submit, so that its own cost does not count
  Random random(c.op + " " + c.name);
  const Tensors tensors = c.make(random);
  MODELC_ASSIGN_OR_RETURN(DeviceKernel kernel, make(device));
  MODELC_ASSIGN_OR_RETURN(Placed placed, Placed::Upload(device, tensors));
  const auto run = [&](size_t times) -> absl::StatusOr<double> {
    const std::vector<modelc_command> commands(times, placed.Command(kernel));
    const auto start = Clock::now();
    MODELC_RETURN_IF_ERROR(device.Submit(commands));
    MODELC_RETURN_IF_ERROR(device.Sync());
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  MODELC_ASSIGN_OR_RETURN(double once, run(1));  // warms up
  MODELC_ASSIGN_OR_RETURN(once, run(1));
  const size_t times = static_cast<size_t>(std::clamp(kBatch / std::max(once, 1e-9), 1.0, 10000.0));
  seconds = once;
  double spent = 0;
  for (int i = 0; i < 3 || spent < kEnough; ++i) {
    MODELC_ASSIGN_OR_RETURN(double batch, run(times));
    spent += batch;
    seconds = std::min(seconds, batch / static_cast<double>(times));
  }
  return absl::OkStatus();
}

Result Begin(const Case& c, const std::string& kernel) {
  Result result;
  result.op = c.op;
  result.name = c.name;
  result.kernel = kernel;
  result.flops = c.flops;
  result.bytes = c.bytes;
  return result;
}

void End(Result& result, const absl::Status& status) {
  result.outcome = status.ok() ? Outcome::kPassed : Outcome::kFailed;
  result.detail = std::string(status.message());
}

}  // namespace

Result CheckCase(const Case& c, const std::string& kernel, const MakeKernel& make, Device& device, Device* single) {
  Result result = Begin(c, kernel);
  End(result, Check(c, make, device, single, result.nmse));
  return result;
}

Result TimeCase(const Case& c, const std::string& kernel, const MakeKernel& make, Device& device) {
  Result result = Begin(c, kernel);
  End(result, Time(c, make, device, result.seconds));
  return result;
}

}  // namespace modelc::conformance
