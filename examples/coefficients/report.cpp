#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <zo/config.hpp>
#include <zo/direction.hpp>

#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/picture.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace coefficients {

namespace {

// A mean and its standard error.
struct estimate {
  double mean = 0;
  double error = 0;  // 0 of a single one

  explicit estimate(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    for (const double v : values) mean += v / n;
    double squares = 0;
    for (const double v : values) squares += (v - mean) * (v - mean);
    if (n > 1) error = std::sqrt(squares / (n - 1) / n);
  }
};

bool is_unknown(const equation& what, std::size_t i, const settings& s) {
  return !s.one || static_cast<int>(i) == what.alone;
}

double relative_error(const equation& what, const curve_point& p, std::size_t i) {
  return std::abs(p.found[i] / what.truth[i] - 1);
}

double worst_error(const equation& what, const curve_point& p) {
  return std::max(relative_error(what, p, 0), relative_error(what, p, 1));
}

template <class Value>
estimate over_seeds(const method_result& m, const Value& value) {
  std::vector<double> values;
  for (const discovery& run : m.runs) values.push_back(value(run));
  return estimate(values);
}

// In percent of the truth.
std::string percent(const estimate& e) {
  const auto text = [](double v) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.2g", 100 * v);
    return std::string(buffer);
  };
  return text(e.mean) + " ± " + text(e.error);
}

std::string scientific(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2e", value);
  return buffer;
}

app::table table_of(const equation_result& r, const settings& s) {
  std::vector<std::string> header = {"method", "calls/step", "calls"};
  for (std::size_t i = 0; i < 2; ++i) {
    if (is_unknown(*r.what, i, s)) header.push_back("error of " + r.what->coefficients[i] + ", %");
  }
  header.insert(header.end(), {"rms to the data", "seconds"});
  app::table table(header);
  for (const method_result& m : r.methods) {
    std::vector<std::string> row = {
        m.name, m.name == "least-squares" ? "-" : std::to_string(calls_of_a_step(m.name, s)),
        app::fixed(
            over_seeds(m, [](const discovery& d) { return static_cast<double>(d.all_calls); }).mean,
            0)};
    for (std::size_t i = 0; i < 2; ++i) {
      if (!is_unknown(*r.what, i, s)) continue;
      row.push_back(percent(
          over_seeds(m, [&](const discovery& d) { return relative_error(*r.what, d.last(), i); })));
    }
    row.push_back(scientific(
        over_seeds(m, [](const discovery& d) { return std::sqrt(d.last().loss); }).mean));
    row.push_back(app::fixed(over_seeds(m, [](const discovery& d) { return d.seconds; }).mean, 1));
    table.add(row);
  }
  return table;
}

app::table curve_csv(const std::vector<equation_result>& results) {
  app::table table(
      {"equation", "method", "seed", "step", "calls", "loss", "first", "second", "relative_error"});
  for (const equation_result& r : results) {
    for (const method_result& m : r.methods) {
      for (const discovery& d : m.runs) {
        for (const curve_point& p : d.curve) {
          table.add({r.what->name, m.name, std::to_string(d.seed), std::to_string(p.step),
                     std::to_string(p.calls), app::shortest(p.loss), app::shortest(p.found[0]),
                     app::shortest(p.found[1]), app::shortest(worst_error(*r.what, p))});
        }
      }
    }
  }
  return table;
}

nlohmann::json summary(const std::vector<equation_result>& results, const settings& s) {
  nlohmann::json all;
  all["settings"] = to_json(s);
  all["zo"] = std::to_string(zo::version_major) + "." + std::to_string(zo::version_minor) + "." +
              std::to_string(zo::version_patch);
  all["instruction_set"] = zo::instruction_set();
  all["equations"] = nlohmann::json::array();
  for (const equation_result& r : results) {
    nlohmann::json one = {{"equation", r.what->name},
                          {"truth", r.what->truth},
                          {"rms_of_the_truth", r.error_of_truth},
                          {"runs", nlohmann::json::array()}};
    for (const method_result& m : r.methods) {
      for (const discovery& d : m.runs) {
        one["runs"].push_back({{"method", m.name},
                               {"seed", d.seed},
                               {"calls", d.all_calls},
                               {"failed", d.failed},
                               {"found", d.last().found},
                               {"loss", d.last().loss},
                               {"seconds", d.seconds},
                               {"stopped", d.stopped}});
      }
    }
    all["equations"].push_back(one);
  }
  return all;
}

// Mean over the seeds of the logarithm of the error, step by step as far as all seeds go.
app::chart errors_of(const equation_result& r) {
  app::chart chart;
  chart.title = r.what->title;
  chart.x_label = "calls of the solver";
  chart.y_label = "log10 of the relative error";
  chart.log_x = true;
  for (const method_result& m : r.methods) {
    app::chart_series line;
    line.name = m.name;
    std::size_t steps = m.runs.front().curve.size();
    for (const discovery& d : m.runs) steps = std::min(steps, d.curve.size());
    for (std::size_t k = 0; k < steps; ++k) {
      const auto calls =
          over_seeds(m, [&](const discovery& d) { return static_cast<double>(d.curve[k].calls); });
      const auto error = over_seeds(m, [&](const discovery& d) {
        return std::log10(std::max(1e-16, worst_error(*r.what, d.curve[k])));
      });
      constexpr double apart = 1.12;  // markers further apart than they are wide
      const bool seen = k == 0 || k + 1 == steps || calls.mean >= apart * line.x.back();
      if (!seen) continue;
      line.x.push_back(calls.mean);
      line.y.push_back(error.mean);
      line.error.push_back(error.error);
    }
    chart.series.push_back(line);
  }
  return chart;
}

// Data, fit and ten times their difference: time from left to right, space from below.
app::image_sheet fields_of(const equation_result& r) {
  const auto& at = r.data->at;
  const std::size_t nx = at.x.size(), nt = at.t.size();
  const std::size_t every = std::max<std::size_t>(1, nx / 128);
  const double least = *std::ranges::min_element(r.data->u);
  const double largest = *std::ranges::max_element(r.data->u);
  app::image_sheet sheet;
  sheet.title = r.what->name;
  sheet.column_captions = {"data", "fit", "10 x difference"};
  sheet.image_rows = static_cast<std::int64_t>((nx + every - 1) / every);
  sheet.image_columns = static_cast<std::int64_t>(nt);
  sheet.scale = 2;
  const auto image = [&](const auto& value) {
    std::vector<float> grey;
    for (std::size_t row = 0; row < static_cast<std::size_t>(sheet.image_rows); ++row) {
      const std::size_t i = nx - 1 - std::min(nx - 1, row * every);
      for (std::size_t k = 0; k < nt; ++k) grey.push_back(static_cast<float>(value(k * nx + i)));
    }
    sheet.images.push_back(app::to_bytes(grey));
  };
  const double range = largest - least;
  image([&](std::size_t k) { return (r.data->u[k] - least) / range; });
  image([&](std::size_t k) { return (r.fit[k] - least) / range; });
  image([&](std::size_t k) { return 0.5 + 10 * (r.fit[k] - r.data->u[k]) / range; });
  return sheet;
}

}  // namespace

std::string table_text(const std::vector<equation_result>& results, const settings& s) {
  std::string text;
  for (const equation_result& r : results) {
    text += r.what->title + "\n" + table_of(r, s).text() +
            "At the true coefficients the solver is off the data by " +
            scientific(r.error_of_truth) + " (rms).\n\n";
  }
  return text + "Relative errors of the coefficients, mean ± standard error over " +
         std::to_string(s.seeds) + " starts within a factor of " + app::shortest(s.start) +
         " of the truth. Calls: whole solutions, mean. Noise in the data: " +
         app::shortest(s.noise) + " standard deviations.\n";
}

std::vector<std::string> write_results(const std::vector<equation_result>& results,
                                       const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json", summary(results, s).dump(2) + "\n");
  app::write_atomically(s.out / "curve.csv", curve_csv(results).csv());
  for (const equation_result& r : results) {
    const std::string note =
        app::write_chart(s.out / ("error_" + r.what->name + ".png"), errors_of(r));
    if (!note.empty() && notes.empty()) notes.push_back(note);
    app::write_image_sheet(s.out / ("field_" + r.what->name + ".png"), fields_of(r));
  }
  return notes;
}

std::vector<std::string> result_names(const settings& s) {
  std::vector<std::string> names = {"summary.json", "curve.csv"};
  for (const std::string& name : s.equations) {
    for (const std::string& file : app::chart_files("error_" + name + ".png")) {
      names.push_back(file);
    }
    names.push_back("field_" + name + ".png");
  }
  return names;
}

}  // namespace coefficients
