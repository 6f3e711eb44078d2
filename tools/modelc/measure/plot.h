// Scatter plots as SVG: labelled points on two linear axes that begin where the points do.
#ifndef MODELC_TOOLS_MODELC_MEASURE_PLOT_H_
#define MODELC_TOOLS_MODELC_MEASURE_PLOT_H_

#include <string>
#include <vector>

namespace modelc {

struct PlotPoint {
  std::string label;
  double x, y;
};

struct Plot {
  std::string title, x_axis, y_axis;
  std::vector<PlotPoint> points;
};

// The plots side by side in one picture, readable on light and dark pages.
std::string Svg(const std::vector<Plot>& plots);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_PLOT_H_
