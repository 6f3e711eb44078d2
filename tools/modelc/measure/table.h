// Text tables for people: columns as wide as their widest cell.
#ifndef MODELC_TOOLS_MODELC_MEASURE_TABLE_H_
#define MODELC_TOOLS_MODELC_MEASURE_TABLE_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace modelc {

class Table {
 public:
  // The first `text_columns` columns align left, the others, numbers, right.
  Table(std::vector<std::string> header, size_t text_columns);
  void Row(std::vector<std::string> cells);
  void Rule();  // a line between groups of rows

  std::string Text() const;

 private:
  size_t text_columns_;
  std::vector<std::vector<std::string>> rows_;  // the header first; an empty row is a rule
};

// "12.3 MB", "4.56 GB": three significant digits, units of 1000.
std::string Bytes(double bytes);
// "12.3 ms", "456 µs".
std::string Seconds(double seconds);
// "1.23 G", "45.6 M", for counts such as FLOPs.
std::string Count(double count);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_TABLE_H_
