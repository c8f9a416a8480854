#include "common/chart.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "common/file.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

/// A gnuplot string. Only the single quote could end it, so an apostrophe is written in its
/// typographic form; control characters become blanks. Nothing in `text` can be run.
std::string gnuplot_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'') {
      out += "\u2019";
    } else {
      out += byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
  }
  return out + "'";
}

bool is_drawn(const chart_series& series, std::size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
}

void check(const chart& what) {
  bool any = false;
  for (const chart_series& series : what.series) {
    const std::size_t n = series.x.size();
    if (series.y.size() != n || (!series.error.empty() && series.error.size() != n)) {
      throw std::invalid_argument("app::chart: the series " + in_quotes(series.name) +
                                  " has x, y and error of unequal lengths");
    }
    for (std::size_t i = 0; i < n; ++i) {
      any = any || is_drawn(series, i);
      if (what.log_x && is_drawn(series, i) && series.x[i] <= 0) {
        throw std::invalid_argument("app::chart: the series " + in_quotes(series.name) +
                                    " has an x that is not positive on a logarithmic axis");
      }
    }
  }
  if (!any) throw std::invalid_argument("app::chart: no series has a point to draw");
}

std::vector<double> all_x(const chart& what) {
  std::vector<double> all;
  for (const chart_series& series : what.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      if (is_drawn(series, i)) all.push_back(series.x[i]);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// 2000 as "2 k".
std::string short_number(double x) {
  if (x >= 1e9) return shortest(x / 1e9) + " G";
  if (x >= 1e6) return shortest(x / 1e6) + " M";
  if (x >= 1e3) return shortest(x / 1e3) + " k";
  return shortest(x);
}

/// Ticks of a logarithmic axis over `all` (sorted): the data's own x where there are few, without
/// those that would crowd; round numbers otherwise. Empty when too few.
std::string log_ticks(const std::vector<double>& all) {
  constexpr std::size_t few = 8;
  const double span = std::log10(all.back() / all.front());
  std::vector<double> own = all;
  own.erase(std::unique(own.begin(), own.end()), own.end());
  std::vector<std::string> ticks;
  if (own.size() <= few) {
    double last = 0;
    for (const double x : own) {
      if (last > 0 && std::log10(x / last) <= 0.06 * span) continue;
      ticks.push_back(shortest(x));
      last = x;
    }
  } else {
    for (int power = -9; power <= 18; ++power) {
      for (const int digit : {1, 2, 5}) {
        // Quotients of whole numbers, because 5 * 1e-3 need not be the number called 0.005.
        const double whole = std::pow(10, std::abs(power));
        const double x = power < 0 ? digit / whole : digit * whole;
        const bool shown = digit == 1 || span < 2.5;
        if (!shown || x < all.front() || x > all.back()) continue;
        ticks.push_back(gnuplot_text(short_number(x)) + " " + shortest(x));
      }
    }
  }
  if (ticks.size() < 3) return "";
  std::string out;
  for (const std::string& tick : ticks) out += (out.empty() ? "" : ", ") + tick;
  return out;
}

/// The x axis ends just outside of the outermost points, so that their markers are whole.
std::string x_range(const std::vector<double>& all, bool log_x) {
  constexpr double share = 0.02;
  const double first = all.front();
  const double last = all.back();
  if (!(first < last)) return "set xrange [*:*]\n";
  const double stretch = log_x ? std::pow(last / first, share) : share * (last - first);
  return "set xrange [" + shortest(log_x ? first / stretch : first - stretch) + ":" +
         shortest(log_x ? last * stretch : last + stretch) + "]\n";
}

std::string axes(const chart& what) {
  std::string out;
  out += "set title " + gnuplot_text(what.title) + " font ',15'\n";
  out += "set xlabel " + gnuplot_text(what.x_label) + "\n";
  out += "set ylabel " + gnuplot_text(what.y_label) + "\n";
  const auto limit = [](const std::optional<double>& value) {
    return value ? shortest(*value) : std::string("*");
  };
  out += "set yrange [" + limit(what.y_min) + ":" + limit(what.y_max) + "]\n";
  const std::vector<double> all = all_x(what);
  out += x_range(all, what.log_x);
  if (what.log_x) {
    out += "set logscale x\n";
    const std::string ticks = log_ticks(all);
    if (!ticks.empty()) out += "set xtics (" + ticks + ")\n";
  }
  return out;
}

constexpr std::string_view appearance =
    "set border 3 linecolor rgb '#606060'\n"
    "set tics nomirror out textcolor rgb '#303030'\n"
    "set grid linecolor rgb '#e0e0e0' linetype 1 linewidth 1\n"
    "set key outside right top vertical Left reverse samplen 3 spacing 1.3\n"
    "set errorbars 0.6\n"
    "set offsets 0, 0, graph 0.05, graph 0.05\n";

struct look {
  const char* colour;
  int marker;  // gnuplot point type
};
// Okabe and Ito's colours, told apart by colour-blind readers; the markers repeat the distinction.
constexpr std::array looks = {look{"#0072B2", 7},  look{"#D55E00", 5},  look{"#009E73", 9},
                              look{"#CC79A7", 13}, look{"#000000", 11}, look{"#E69F00", 4},
                              look{"#56B4E9", 6},  look{"#8B6914", 8}};

/// The points of one series as a named data block: x y error per line, an empty line for a gap.
std::string data_block(const chart_series& series, std::size_t number) {
  std::string out = "$series" + std::to_string(number) + " << END\n";
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!is_drawn(series, i)) {
      out += "\n";
      continue;
    }
    const double error = series.error.empty() ? 0 : series.error[i];
    out += shortest(series.x[i]) + ' ' + shortest(series.y[i]) + ' ' +
           (std::isfinite(error) ? shortest(error) : "0") + '\n';
  }
  return out + "END\n";
}

std::string plot_element(const chart_series& series, std::size_t number) {
  constexpr std::size_t markers_on_a_curve = 8;
  constexpr std::size_t most_markers = 25;
  const look& style = looks[number % looks.size()];
  const bool bars = !series.error.empty();
  const std::size_t n = series.x.size();
  std::string out = "$series" + std::to_string(number) + " using 1:2" + (bars ? ":3" : "");
  out += bars ? " with yerrorlines" : series.markers ? " with linespoints" : " with lines";
  out += std::string(" linecolor rgb '") + style.colour + "' linewidth 2";
  out += series.dashed ? " dashtype 2" : " dashtype 1";
  if (bars || series.markers) {
    out += " pointtype " + std::to_string(series.markers ? style.marker : 0) + " pointsize 1.1";
  }
  if (series.markers && n > most_markers) {
    out += " pointinterval " + std::to_string(n / markers_on_a_curve);
  }
  return out + " title " + gnuplot_text(series.name);
}

/// Reads what a child writes until it closes the pipe; keeps the beginning only.
std::string drain(int pipe) {
  constexpr std::size_t kept = 4096;
  std::string text;
  std::array<char, 1024> buffer{};
  while (true) {
    const ssize_t got = ::read(pipe, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kept) text.resize(kept);
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// Runs `script` without a shell, to draw into the open file `picture`. Returns an empty text or
/// the reason why it failed.
std::string run_gnuplot(const fs::path& script, int picture) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::strerror(errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, picture, 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);

  std::string program = "gnuplot";
  std::string no_user_settings = "-d";
  std::string call = "-c";
  std::string file = script.string();
  std::string argument = "stdout";
  std::array<char*, 6> arguments = {program.data(), no_user_settings.data(), call.data(),
                                    file.data(),    argument.data(),         nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  const std::string complaint = error == 0 ? drain(ends[0]) : "";
  ::close(ends[0]);
  if (error == ENOENT) return "gnuplot was not found; install the Debian package gnuplot-nox";
  if (error != 0) return "gnuplot could not be started: " + std::generic_category().message(error);
  const int status = wait_for(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return "gnuplot failed: " + in_quotes(complaint);
}

/// gnuplot reports success also when the disk was full; a whole picture shows at its end.
bool is_complete(int drawing) {
  std::array<char, 64> end{};
  const off_t size = ::lseek(drawing, 0, SEEK_END);
  const ssize_t got = ::pread(drawing, end.data(), end.size(), std::max<off_t>(0, size - 64));
  std::string text(end.data(), static_cast<std::size_t>(std::max<ssize_t>(0, got)));
  text.erase(text.find_last_not_of('\n') + 1);
  return text.ends_with("IEND\xae\x42\x60\x82") || text.ends_with("</svg>");
}

fs::path with_extension(fs::path path, const char* extension) {
  return path.replace_extension(extension);
}

}  // namespace

std::string chart_csv(const chart& what) {
  table rows({"series", "x", "y", "error"});
  for (const chart_series& series : what.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      rows.add({series.name, shortest(series.x[i]), shortest(series.y[i]),
                series.error.empty() ? "" : shortest(series.error[i])});
    }
  }
  return rows.csv();
}

std::string chart_script(const chart& what, const std::string& picture_name) {
  const bool vector = picture_name.ends_with(".svg");
  std::string out = "# Draws " + gnuplot_text(picture_name) + ": run gnuplot on this file.\n";
  out += std::string("set terminal ") + (vector ? "svg" : "pngcairo") +
         " noenhanced size 960,540 font 'DejaVu Sans,12' background rgb 'white'\n";
  out += "picture = " + gnuplot_text(picture_name) + "\n";
  out += "if (!exists('ARGC') || ARGC == 0) set output picture\n";
  out += appearance;
  out += axes(what);
  std::string elements;
  for (std::size_t i = 0; i < what.series.size(); ++i) {
    const chart_series& series = what.series[i];
    bool any = false;
    for (std::size_t k = 0; k < series.x.size(); ++k) any = any || is_drawn(series, k);
    if (!any) continue;
    out += data_block(series, i);
    elements += (elements.empty() ? "" : ", \\\n  ") + plot_element(series, i);
  }
  return out + "plot " + elements + "\nunset output\n";
}

std::vector<std::string> chart_files(const std::string& picture_name) {
  return {picture_name, with_extension(picture_name, ".csv").string(),
          with_extension(picture_name, ".gnuplot").string()};
}

std::string write_chart(const fs::path& picture, const chart& what) {
  check(what);
  if (picture.extension() != ".png" && picture.extension() != ".svg") {
    throw std::invalid_argument("app::write_chart: the name " + in_quotes(picture.string()) +
                                " does not end in .png or .svg");
  }
  const std::string name = picture.filename().string();
  const fs::path data = with_extension(picture, ".csv");
  const fs::path script = with_extension(picture, ".gnuplot");
  write_atomically(data, chart_csv(what));
  write_atomically(script, chart_script(what, name));

  new_file drawing(picture);
  std::string failure = run_gnuplot(fs::absolute(script), drawing.get());
  if (failure.empty() && !is_complete(drawing.get())) {
    failure = "gnuplot left it incomplete; check that the disk is not full";
  }
  if (failure.empty()) {
    drawing.commit();
    return "";
  }
  return "The picture " + in_quotes(picture.string()) + " was not drawn: " + failure +
         ". Its data are in " + in_quotes(data.string()) + ".";
}

}  // namespace app
