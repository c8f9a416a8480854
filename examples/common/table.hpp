// Tables for people (aligned columns) and for programs (CSV).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace app {

/// Rows of text under a header. The first column is aligned left, the others right.
class table {
 public:
  explicit table(std::vector<std::string> header);

  /// Throws std::invalid_argument unless `row` has as many cells as the header.
  void add(std::vector<std::string> row);

  /// Aligned columns, a line under the header, each line ended by '\n'.
  std::string text() const;

  /// RFC 4180 with '\n' line ends; reads back cell for cell, whatever the cells contain.
  std::string csv() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the header first
};

/// One CSV cell: quoted when it holds a comma, quote, line break, or space at an end.
std::string csv_cell(std::string_view text);

}  // namespace app
