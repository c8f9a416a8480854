#include "common/table.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "common/text.hpp"

namespace app {
namespace {

constexpr std::string_view gap = "  ";

std::string aligned_row(const std::vector<std::string>& row,
                        const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t column = 0; column < row.size(); ++column) {
    const std::string padding(widths[column] - display_width(row[column]), ' ');
    if (column > 0) line += gap;
    line += column == 0 ? row[column] + padding : padding + row[column];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

}  // namespace

table::table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void table::add(std::vector<std::string> row) {
  if (row.size() != rows_.front().size()) {
    throw std::invalid_argument("app::table: a row has " + std::to_string(row.size()) +
                                " cells where the header has " +
                                std::to_string(rows_.front().size()));
  }
  rows_.push_back(std::move(row));
}

std::string table::text() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], display_width(row[column]));
    }
  }
  std::size_t total = widths.empty() ? 0 : gap.size() * (widths.size() - 1);
  for (const std::size_t width : widths) total += width;

  std::string out = aligned_row(rows_.front(), widths) + std::string(total, '-') + '\n';
  for (std::size_t i = 1; i < rows_.size(); ++i) out += aligned_row(rows_[i], widths);
  return out;
}

std::string csv_cell(std::string_view text) {
  const bool padded = !text.empty() && (text.front() == ' ' || text.back() == ' ');
  if (!padded && text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string table::csv() const {
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      if (column > 0) out += ',';
      out += csv_cell(row[column]);
    }
    out += '\n';
  }
  return out;
}

}  // namespace app
