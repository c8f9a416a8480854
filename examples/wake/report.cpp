#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <zo/config.hpp>

#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/picture.hpp"
#include "common/table.hpp"
#include "common/text.hpp"
#include "gradient.hpp"

namespace wake {

namespace {

using torch::Tensor;

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_error(const std::vector<double>& values) {
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

const method_results* find(const results& found, const std::string& method) {
  const auto at = std::ranges::find(found, method, &method_results::method);
  return at == found.end() ? nullptr : &*at;
}

// How a row of the first table is called: as in the papers.
std::string title_of(const std::string& method) {
  if (method == "src") return "SRC";
  if (method == "non") return "NON";
  if (method == "cut") return "CUT";
  if (method == "chain") return "ZO";
  return method == "fo" ? "FO" : method;
}
const std::vector<std::string>& compared() {
  static const std::vector<std::string> methods = {"src", "non", "cut", "chain", "fo"};
  return methods;
}

std::string gradient_text(const std::string& method) {
  if (method == "src") return "no correction";
  if (method == "non") return "network alone, on pairs";
  if (method == "cut") return "in the loop, not through the solver";
  if (method == "fo") return "through the solver";
  if (method == "sparse-cge" || method == "rge") return "whole pipeline";
  if (method == "suffix-rge") return "all later steps, as one loss";
  if (method.starts_with("boundary")) return "single steps";
  return "both parts of a step";
}

std::string plus_minus(double error) { return std::isnan(error) ? "-" : app::fixed(error, 4); }

std::string count_text(std::int64_t calls) {
  return calls == 0 ? "-" : app::format_count(static_cast<double>(calls));
}

double mean_seconds(const method_results& r) {
  std::vector<double> seconds;
  for (const training_report& one : r.trained) seconds.push_back(one.last().seconds);
  return seconds.empty() ? 0 : mean(seconds);
}

app::table table_of(const results& found, const std::vector<std::string>& methods,
                    const std::string& what, bool titles) {
  app::table table(
      {"method", what, "MAE", "se seeds", "se simulations", "solver calls", "steps", "seconds"});
  for (const std::string& method : methods) {
    const method_results* const r = find(found, method);
    if (r == nullptr) continue;
    const bool learns = !r->trained.empty();
    table.add({titles ? title_of(method) : method, gradient_text(method), app::fixed(r->error(), 4),
               plus_minus(r->standard_error_of_seeds()),
               plus_minus(r->standard_error_of_simulations()),
               learns ? count_text(r->trained[0].last().calls) : "-",
               learns ? std::to_string(r->trained[0].last().step) : "-",
               learns ? app::fixed(mean_seconds(*r), 1) : "-"});
  }
  return table;
}

// Methods of the first table from the largest error to the smallest.
std::string order_text(const results& found) {
  std::vector<const method_results*> order;
  for (const std::string& method : compared()) {
    if (const auto* r = find(found, method)) order.push_back(r);
  }
  if (order.size() < 2) return "";
  std::ranges::stable_sort(order,
                           [](const auto* a, const auto* b) { return a->error() > b->error(); });
  std::string text = "Order: ";
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0) {
      const double spread =
          std::hypot(order[i - 1]->standard_error_of_seeds(), order[i]->standard_error_of_seeds());
      const bool apart = order[i - 1]->error() - order[i]->error() > 2 * spread;
      text += apart || std::isnan(spread) ? " > " : " ~ ";
    }
    text += title_of(order[i]->method) + " " + app::fixed(order[i]->error(), 4);
  }
  return text + "; ~ where the difference is below two standard errors over seeds.\n" +
         "In DeepZero's figure: SRC 0.180 > NON 0.153 > ZO 0.119 > FO 0.074.\n";
}

std::vector<std::string> asking_methods() {
  std::vector<std::string> methods;
  for (const std::string& method : method_names()) {
    if (only_asks(method)) methods.push_back(method);
  }
  return methods;
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json summary(const problem& p, const results& found, const settings& s) {
  nlohmann::json all;
  all["settings"] = to_json(s);
  all["zo"] = std::to_string(zo::version_major) + "." + std::to_string(zo::version_minor) + "." +
              std::to_string(zo::version_patch);
  all["parameters"] = p.net.parameters();
  all["colors"] = zo::coloring(advection_pattern(s.coarse())).colors();
  all["methods"] = nlohmann::json::array();
  for (const method_results& r : found) {
    nlohmann::json one = {
        {"method", r.method},
        {"mae", r.error()},
        {"standard_error_seeds", number_or_null(r.standard_error_of_seeds())},
        {"standard_error_simulations", number_or_null(r.standard_error_of_simulations())}};
    if (!r.trained.empty()) {
      one["solver_calls"] = r.trained[0].last().calls;
      one["steps"] = r.trained[0].last().step;
      one["seconds"] = mean_seconds(r);
    }
    for (const test_report& t : r.tests) one["mae_of_seeds"].push_back(t.mean());
    all["methods"].push_back(one);
  }
  return all;
}

app::table curves_of(const results& found) {
  app::table table({"method", "seed", "step", "solver_calls", "seconds", "loss", "mae"});
  for (const method_results& r : found) {
    for (const training_report& one : r.trained) {
      for (const curve_point& c : one.curve) {
        table.add({r.method, std::to_string(one.number), std::to_string(c.step),
                   std::to_string(c.calls), app::fixed(c.seconds, 3), app::shortest(c.loss),
                   app::shortest(c.error)});
      }
    }
  }
  return table;
}

app::table simulations_of(const problem& p, const results& found) {
  app::table table({"method", "seed", "reynolds", "first_step", "mae"});
  for (const method_results& r : found) {
    for (std::size_t k = 0; k < r.tests.size(); ++k) {
      for (std::size_t i = 0; i < p.reynolds.size(); ++i) {
        table.add({r.method, std::to_string(k), std::to_string(p.reynolds[i]),
                   std::to_string(p.starts[i]), app::shortest(r.tests[k].of_simulations[i])});
      }
    }
  }
  return table;
}

// Errors by solver calls, mean over the seeds; where none are made, the last as a level line.
app::chart by_calls(const results& found) {
  app::chart chart;
  chart.title = "Error on the test simulations by solver calls of training";
  chart.x_label = "solver calls";
  chart.y_label = "mean absolute error of the velocity";
  chart.log_x = true;
  chart.y_min = 0;
  double least = INFINITY, most = 0;
  for (const method_results& r : found) {
    app::chart_series line;
    line.name = r.method;
    if (only_asks(r.method) || r.method == "fo" || r.method == "cut") {
      for (std::size_t k = 1; k < r.trained[0].curve.size(); ++k) {
        std::vector<double> errors;
        for (const training_report& one : r.trained) errors.push_back(one.curve[k].error);
        line.x.push_back(static_cast<double>(r.trained[0].curve[k].calls));
        line.y.push_back(mean(errors));
        line.error.push_back(errors.size() > 1 ? standard_error(errors) : 0);
        least = std::min(least, line.x.back());
        most = std::max(most, line.x.back());
      }
    } else {
      line.y = {r.error(), r.error()};
      line.dashed = true;
      line.markers = false;
    }
    // What is worse than twice no correction only hides the rest.
    if (r.method == "src") chart.y_max = 2 * r.error();
    chart.series.push_back(line);
  }
  for (app::chart_series& line : chart.series) {
    if (line.dashed)
      line.x = most > 0 ? std::vector<double>{least, most} : std::vector<double>{1, 2};
  }
  return chart;
}

// Errors over the time of the test simulations.
app::chart by_time(const results& found, const settings& s) {
  app::chart chart;
  chart.title = "Error over the time of a test simulation";
  chart.x_label = "time, in diameters over inflow velocity";
  chart.y_label = "mean absolute error of the velocity";
  chart.y_min = 0;
  for (const std::string& method : compared()) {
    const method_results* const r = find(found, method);
    if (r == nullptr) continue;
    app::chart_series line;
    line.name = title_of(method);
    line.markers = false;
    for (std::size_t t = 0; t < r->tests[0].of_steps.size(); ++t) {
      std::vector<double> errors;
      for (const test_report& one : r->tests) errors.push_back(one.of_steps[t]);
      line.x.push_back(static_cast<double>(t + 1) * s.time_step);
      line.y.push_back(mean(errors));
    }
    chart.series.push_back(line);
  }
  return chart;
}

// Blue for -1, white for 0, red for 1: 3 x rows x columns.
std::vector<std::uint8_t> in_colors(const Tensor& values) {
  const Tensor v = values.clamp(-1, 1);
  const Tensor red = 1 - (-v).clamp_min(0), blue = 1 - v.clamp_min(0), green = 1 - v.abs();
  const Tensor colors = torch::stack({red, green, blue}).contiguous();
  return app::to_bytes({colors.data_ptr<float>(), static_cast<std::size_t>(colors.numel())});
}

// Film strips of the first test simulation of the middle Reynolds number: the first network of each
// method of the first table.
void draw_films(const problem& p, const results& found, const settings& s) {
  constexpr std::int64_t pictures = 6;
  const auto shown = static_cast<std::int64_t>(s.test_reynolds.size() / 2) * s.starts;
  app::image_sheet flow;
  flow.channels = 3;
  flow.image_rows = s.rows;
  flow.image_columns = 2 * s.rows;
  flow.scale = std::max<std::int64_t>(1, 80 / s.rows);
  app::image_sheet error = flow;
  const std::string where =
      "Reynolds number " + std::to_string(p.reynolds[static_cast<std::size_t>(shown)]);
  flow.title = "Vorticity, " + where + " (red left turn, blue right turn)";
  error.title = "Error of the vorticity, " + where;
  std::vector<std::int64_t> steps;
  for (std::int64_t k = 1; k <= pictures; ++k) {
    const std::int64_t t = std::max<std::int64_t>(1, p.test.steps() * k / pictures);
    steps.push_back(t);
    flow.column_captions.push_back("time " + app::fixed(static_cast<double>(t) * s.time_step, 1));
  }
  error.column_captions = flow.column_captions;
  constexpr double strong = 4;  // vorticity that has the full color
  const auto turns = [&](const Tensor& states) { return p.flow.vorticity(states) / strong; };
  const Tensor truth = turns(p.test.states[shown]);
  const auto add = [&](app::image_sheet& sheet, const std::string& caption, const Tensor& values) {
    sheet.row_captions.push_back(caption);
    for (const std::int64_t t : steps) sheet.images.push_back(in_colors(values[t]));
  };
  add(flow, "reference", truth);
  for (const std::string& method : compared()) {
    const method_results* const r = find(found, method);
    if (r == nullptr) continue;
    const auto& weights = r->trained.empty() ? std::vector<float>() : r->trained[0].weights;
    const Tensor values = turns(test(p, weights, shown).states);
    add(flow, title_of(method), values);
    add(error, title_of(method), values - truth);
  }
  app::write_image_sheet(s.out / "wake_flow.png", flow);
  if (!error.images.empty()) app::write_image_sheet(s.out / "wake_error.png", error);
}

void draw(const std::filesystem::path& path, const app::chart& chart,
          std::vector<std::string>& notes) {
  if (chart.series.empty()) return;
  const std::string note = app::write_chart(path, chart);
  if (!note.empty() && (notes.empty() || notes.back() != note)) notes.push_back(note);
}

}  // namespace

double method_results::error() const {
  std::vector<double> means;
  for (const test_report& one : tests) means.push_back(one.mean());
  return mean(means);
}

double method_results::standard_error_of_seeds() const {
  std::vector<double> means;
  for (const test_report& one : tests) means.push_back(one.mean());
  return trained.empty() ? 0 : standard_error(means);
}

double method_results::standard_error_of_simulations() const {
  std::vector<double> means(tests[0].of_simulations.size());
  for (std::size_t i = 0; i < means.size(); ++i) {
    for (const test_report& one : tests) {
      means[i] += one.of_simulations[i] / static_cast<double>(tests.size());
    }
  }
  return standard_error(means);
}

results test_all(const problem& p, const std::vector<training_report>& trained, const settings& s) {
  results found;
  for (const std::string& method : method_names()) {
    if (std::ranges::find(s.methods, method) == s.methods.end()) continue;
    method_results r{method, {}, {}};
    if (method == "src") r.tests.push_back(test(p, {}));
    for (const training_report& one : trained) {
      if (one.method != method) continue;
      r.trained.push_back(one);
      r.tests.push_back(test(p, one.weights));
    }
    found.push_back(std::move(r));
  }
  return found;
}

std::string table_text(const results& found, const settings& s) {
  const auto with_any = [&](const std::vector<std::string>& methods) {
    return std::ranges::any_of(methods,
                               [&](const auto& method) { return find(found, method) != nullptr; });
  };
  std::string text;
  if (with_any(compared()))
    text += table_of(found, compared(), "gradient", true).text() + order_text(found);
  if (with_any(asking_methods())) {
    text += (text.empty() ? "" : "\n") + std::string("Ways to ask the solver, at most ") +
            app::format_count(static_cast<double>(s.calls)) +
            " solver calls each (ZO is chain):\n" +
            table_of(found, asking_methods(), "what is asked", false).text();
  }
  return text + "\nMAE: mean absolute error of the velocity, in that of the inflow, over " +
         std::to_string(s.test_reynolds.size() * static_cast<std::size_t>(s.starts)) +
         " test simulations of " + std::to_string(s.test_steps) + " steps\nand " +
         std::to_string(s.seeds) + (s.seeds == 1 ? " network" : " networks") +
         " a method; se: its standard errors. Seconds of one training, without tests.\n";
}

std::vector<std::string> write_results(const problem& p, const results& found, const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json", summary(p, found, s).dump(2) + "\n");
  app::write_atomically(s.out / "curve.csv", curves_of(found).csv());
  app::write_atomically(s.out / "simulations.csv", simulations_of(p, found).csv());
  draw_films(p, found, s);
  draw(s.out / "error_calls.png", by_calls(found), notes);
  draw(s.out / "error_time.png", by_time(found, s), notes);
  return notes;
}

std::vector<std::string> result_names() {
  std::vector<std::string> names = {"summary.json", "curve.csv", "simulations.csv", "wake_flow.png",
                                    "wake_error.png"};
  for (const char* picture : {"error_calls.png", "error_time.png"}) {
    for (const std::string& file : app::chart_files(picture)) names.push_back(file);
  }
  return names;
}

}  // namespace wake
