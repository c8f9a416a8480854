// Line charts as PNG or SVG, drawn by gnuplot (Debian gnuplot-nox) when it is installed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// One line of a chart. Points that are not finite leave a gap.
struct chart_series {
  std::string name;  ///< in the legend
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> error;  ///< half the length of the error bars; empty: none
  bool markers = true;        ///< on every point, or now and then on dense curves
  bool dashed = false;        ///< for limits and baselines
};

struct chart {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_x = false;
  std::optional<double> y_min = {};  ///< empty: from the data
  std::optional<double> y_max = {};
  std::vector<chart_series> series;
};

/// Writes `picture` (its name ends in .png or .svg) and beside it the same name ending in .csv, the
/// data (series,x,y,error), and in .gnuplot, the script that draws the picture again.
/// Returns an empty text, or, when gnuplot is missing or fails, a sentence for the user; data and
/// script are there all the same, and an older picture is left as it was. Titles and paths are
/// passed as text only: no shell is involved. Throws std::invalid_argument for series without a
/// point, of unequal lengths, or not positive on a logarithmic axis; std::runtime_error when files
/// cannot be written.
std::string write_chart(const std::filesystem::path& picture, const chart& what);

/// The names of the three files that write_chart makes.
std::vector<std::string> chart_files(const std::string& picture_name);

/// The two texts that write_chart writes; `picture_name` is what the script draws by default.
std::string chart_csv(const chart& what);
std::string chart_script(const chart& what, const std::string& picture_name);

}  // namespace app
