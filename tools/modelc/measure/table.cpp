#include "tools/modelc/measure/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace modelc {
namespace {

// Columns a terminal gives the text: bytes that begin a UTF-8 character.
size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
}

std::string Significant(double value) {
  return value == 0 ? "0" : absl::StrFormat("%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value);
}

std::string Scaled(double value, const char* unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t i = 0;
  for (; value >= 999.5 && i + 1 < std::size(kPrefixes); ++i) value /= 1000;
  return absl::StrCat(i == 0 ? absl::StrFormat("%.0f", value) : Significant(value), " ", kPrefixes[i], unit);
}

}  // namespace

Table::Table(std::vector<std::string> header, size_t text_columns) : text_columns_(text_columns) {
  rows_.push_back(std::move(header));
  Rule();
}

void Table::Row(std::vector<std::string> cells) {
  cells.resize(rows_[0].size());
  rows_.push_back(std::move(cells));
}

void Table::Rule() { rows_.emplace_back(); }

std::string Table::Text() const {
  std::vector<size_t> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  size_t total = 2 * (widths.size() - 1);
  for (size_t width : widths) total += width;
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - Width(row[c]), ' ');
      absl::StrAppend(&line, c == 0 ? "" : "  ", c < text_columns_ ? row[c] + space : space + row[c]);
    }
    if (row.empty()) line = std::string(total, '-');
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Bytes(double bytes) { return Scaled(bytes, "B"); }

std::string Count(double count) {
  std::string text = Scaled(count, "");
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string Seconds(double seconds) {
  if (seconds >= 1) return absl::StrCat(Significant(seconds), " s");
  if (seconds >= 1e-3) return absl::StrCat(Significant(seconds * 1e3), " ms");
  return absl::StrCat(Significant(seconds * 1e6), " µs");
}

}  // namespace modelc
