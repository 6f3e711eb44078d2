#include "tools/modelc/measure/plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace modelc {
namespace {

constexpr double kWidth = 460, kHeight = 340;                          // of one plot
constexpr double kLeft = 64, kRight = 20, kTop = 34, kBottom = 46;     // around its axes

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

// An axis with four or so round steps around its values.
struct Axis {
  double low, high, step;

  Axis(std::vector<double> values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double span = std::max(*most - *least, std::fabs(*most) * 1e-3 + 1e-9);
    step = std::pow(10, std::floor(std::log10(span / 4)));
    for (double factor : {5.0, 2.0}) {
      if (span / (step * factor) >= 3) {
        step *= factor;
        break;
      }
    }
    low = std::floor(*least / step - 0.2) * step;
    high = std::ceil(*most / step + 0.2) * step;
  }
  double Share(double value) const { return (value - low) / (high - low); }
};

std::string Text(double x, double y, const char* anchor, const std::string& text, const char* more = "") {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x, y, anchor, more, Escaped(text));
}

std::string Line(double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#888\" stroke-opacity=\".4\"/>\n", x1, y1, x2, y2);
}

std::string Draw(const Plot& plot, double left) {
  std::vector<double> xs, ys;
  for (const PlotPoint& p : plot.points) xs.push_back(p.x), ys.push_back(p.y);
  const Axis x(xs), y(ys);
  const double x0 = left + kLeft, x1 = left + kWidth - kRight, y0 = kHeight - kBottom, y1 = kTop;
  const auto at_x = [&](double v) { return x0 + (x1 - x0) * x.Share(v); };
  const auto at_y = [&](double v) { return y0 - (y0 - y1) * y.Share(v); };
  std::string out = Text((x0 + x1) / 2, 18, "middle", plot.title, " font-weight=\"bold\"");
  for (double v = x.low; v < x.high + x.step / 2; v += x.step) {
    absl::StrAppend(&out, Line(at_x(v), y0, at_x(v), y1), Text(at_x(v), y0 + 15, "middle", absl::StrFormat("%g", v)));
  }
  for (double v = y.low; v < y.high + y.step / 2; v += y.step) {
    absl::StrAppend(&out, Line(x0, at_y(v), x1, at_y(v)), Text(x0 - 6, at_y(v) + 4, "end", absl::StrFormat("%g", v)));
  }
  absl::StrAppend(&out, Text((x0 + x1) / 2, kHeight - 12, "middle", plot.x_axis));
  absl::StrAppend(&out, Text(0, 0, "middle", plot.y_axis,
                             absl::StrFormat(" transform=\"translate(%.1f %.1f) rotate(-90)\"", left + 14, (y0 + y1) / 2).c_str()));
  std::vector<std::pair<double, double>> labels;  // places taken: a label steps down where another one is near
  for (const PlotPoint& p : plot.points) {
    const double px = at_x(p.x), py = at_y(p.y);
    const bool at_end = px > (x0 + 2 * x1) / 3;
    double ly = py + 4;
    const auto taken = [&](const auto& other) { return std::fabs(other.first - px) < 120 && std::fabs(other.second - ly) < 12; };
    while (std::any_of(labels.begin(), labels.end(), taken)) ly += 12;
    labels.push_back({px, ly});
    absl::StrAppend(&out, absl::StrFormat("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#2a78d6\"/>\n", px, py),
                    Text(at_end ? px - 8 : px + 8, ly, at_end ? "end" : "start", p.label));
  }
  return out;
}

}  // namespace

std::string Svg(const std::vector<Plot>& plots) {
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"11\" "
      "fill=\"#777\">\n",
      kWidth * static_cast<double>(plots.size()), kHeight);
  double left = 0;
  for (const Plot& plot : plots) {
    absl::StrAppend(&out, Draw(plot, left));
    left += kWidth;
  }
  return absl::StrCat(out, "</svg>\n");
}

}  // namespace modelc
