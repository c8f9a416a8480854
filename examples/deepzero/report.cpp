#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <zo/config.hpp>
#include <zo/direction.hpp>

#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace deepzero {

namespace {

using results_list = std::vector<training_report>;

double standard_error(double share, std::int64_t count) {
  return std::sqrt(share * (1 - share) / static_cast<double>(count));
}

std::string percent(double share, std::int64_t count) {
  return app::fixed(100 * share, 1) + " ± " + app::fixed(100 * standard_error(share, count), 1);
}

bool asks(const training_report& r) { return r.last().queries > 0; }

double epochs_of(const training_report& r, const curve_point& p) {
  return static_cast<double>(p.step) / static_cast<double>(r.per_epoch);
}

std::int64_t coordinates_of(const training_report& r) {
  std::int64_t sum = 0;
  for (const zo::index_t count : r.counts) sum += count;
  return r.counts.empty() ? r.parameters : sum;
}

std::string gradient_text(const training_report& r, const settings& s) {
  if (r.estimator == "first-order") return "back-propagation";
  if (r.estimator == "rge") {
    return std::to_string(s.directions.value_or(r.parameters)) + " directions";
  }
  if (r.estimator == "cge-by-block") {
    const std::int64_t steps = std::max<std::int64_t>(1, r.last().step);
    return std::to_string(coordinates_of(r)) + " coordinates by block, " +
           std::to_string(r.last().queries / steps) + " queries";
  }
  if (r.estimator == "activations") {
    return std::to_string(s.directions.value_or(r.parameters)) + " a layer and image";
  }
  return std::to_string(coordinates_of(r)) + " coordinates";
}

app::table table_of(const results_list& results, std::int64_t test_images, const settings& s) {
  app::table table({"method", "parameters", "gradient of a step", "test accuracy", "queries",
                    "forward passes", "seconds"});
  for (const training_report& r : results) {
    table.add({r.estimator, std::to_string(r.parameters), gradient_text(r, s),
               percent(r.last().accuracy, test_images),
               asks(r) ? app::format_count(static_cast<double>(r.last().queries)) : "-",
               app::format_count(r.last().passes), app::fixed(r.last().seconds, 1)});
  }
  return table;
}

app::table csv_of(const results_list& results) {
  app::table table({"method", "parameters", "epoch", "step", "queries", "forward_passes", "seconds",
                    "train_loss", "test_accuracy"});
  for (const training_report& r : results) {
    for (const curve_point& p : r.curve) {
      table.add({r.estimator, std::to_string(r.parameters), app::shortest(epochs_of(r, p)),
                 std::to_string(p.step), std::to_string(p.queries), app::shortest(p.passes),
                 app::fixed(p.seconds, 3), app::shortest(p.loss), app::shortest(p.accuracy)});
    }
  }
  return table;
}

nlohmann::json json_of(const std::vector<app::rank_usage>& usage) {
  nlohmann::json all = nlohmann::json::array();
  for (const app::rank_usage& one : usage) {
    all.push_back({{"seconds", one.seconds},
                   {"waiting_seconds", one.waiting_seconds},
                   {"bytes_received", one.bytes}});
  }
  return all;
}

nlohmann::json summary(const results_list& results, const std::vector<app::rank_usage>& usage,
                       std::int64_t test_images, const settings& s) {
  nlohmann::json all;
  all["settings"] = to_json(s);
  all["zo"] = std::to_string(zo::version_major) + "." + std::to_string(zo::version_minor) + "." +
              std::to_string(zo::version_patch);
  all["instruction_set"] = zo::instruction_set();
  all["test_images"] = test_images;
  if (!usage.empty()) all["processes"] = json_of(usage);
  all["methods"] = nlohmann::json::array();
  for (const training_report& r : results) {
    nlohmann::json one = {{"method", r.estimator},
                          {"parameters", r.parameters},
                          {"steps", r.last().step},
                          {"queries", r.last().queries},
                          {"forward_passes", r.last().passes},
                          {"seconds", r.last().seconds},
                          {"test_accuracy", r.last().accuracy},
                          {"standard_error", standard_error(r.last().accuracy, test_images)}};
    if (!r.counts.empty()) one["coordinates_of_parameters"] = r.counts;
    all["methods"].push_back(one);
  }
  return all;
}

void draw(const std::filesystem::path& path, const app::chart& chart,
          std::vector<std::string>& notes) {
  const std::string note = app::write_chart(path, chart);
  if (!note.empty() && (notes.empty() || notes.back() != note)) notes.push_back(note);
}

std::string subject(const settings& s) { return s.network + ", " + s.dataset; }

// Learning curves over a growing quantity; where it stays 0, the last accuracy as a level line.
app::chart curves(const results_list& results, const settings& s, const std::string& label,
                  const std::function<double(const curve_point&)>& quantity) {
  app::chart chart;
  chart.title = "Test accuracy, " + subject(s);
  chart.x_label = label;
  chart.y_label = "share of test images";
  chart.log_x = true;
  double least = INFINITY, most = 0;
  for (const training_report& r : results) {
    app::chart_series line;
    line.name = r.estimator;
    for (const curve_point& p : r.curve) {
      if (quantity(p) <= 0) continue;
      line.x.push_back(quantity(p));
      line.y.push_back(p.accuracy);
      least = std::min(least, line.x.back());
      most = std::max(most, line.x.back());
    }
    if (line.x.empty()) {
      line.y = {r.last().accuracy, r.last().accuracy};
      line.dashed = true;
      line.markers = false;
    }
    chart.series.push_back(line);
  }
  for (app::chart_series& line : chart.series) {
    if (line.dashed)
      line.x = most > 0 ? std::vector<double>{least, most} : std::vector<double>{1, 2};
  }
  return chart;
}

// A figure of the study: one line per method, over the number of parameters.
app::chart by_size(const results_list& results, const std::string& title, const std::string& label,
                   const std::function<double(const training_report&)>& quantity) {
  app::chart chart;
  chart.title = title;
  chart.x_label = "parameters";
  chart.y_label = label;
  chart.y_min = 0;
  for (const training_report& r : results) {
    auto line = std::ranges::find(chart.series, r.estimator, &app::chart_series::name);
    if (line == chart.series.end()) {
      chart.series.push_back({.name = r.estimator, .x = {}, .y = {}, .error = {}});
      line = chart.series.end() - 1;
    }
    line->x.push_back(static_cast<double>(r.parameters));
    line->y.push_back(quantity(r));
  }
  return chart;
}

// Of DeepZero's figure 5, CIFAR-10: percent of the test images, and hours on one RTX A6000.
struct printed {
  double accuracy;
  std::optional<double> hours;
};
struct printed_size {
  std::int64_t parameters;
  printed first_order, cge, cge_whole, rge;
};
constexpr printed_size paper_sizes[] = {
    {730, {42.09, {}}, {41.65, 0.99}, {41.65, 1.66}, {37.53, 3.02}},
    {3700, {60.47, {}}, {59.66, 5.11}, {59.66, 12.08}, {50.06, 27.18}},
    {6670, {70.69, {}}, {70.04, 11.39}, {70.04, 28.03}, {65.31, 66.12}},
    {9640, {76.64, {}}, {76.07, 18.91}, {76.07, 45.22}, {70.05, 144.92}},
    {12610, {77.01, {}}, {76.95, 28.94}, {76.95, 70.32}, {68.38, 206.28}}};

// What the paper has of this size by the same kind of gradient.
std::optional<printed> paper_of(const training_report& r, const settings& s) {
  const auto* const size = std::ranges::find(paper_sizes, r.parameters, &printed_size::parameters);
  if (s.dataset != "cifar10" || size == std::end(paper_sizes)) return {};
  if (r.estimator == "first-order") return size->first_order;
  if (r.estimator == "cge" || r.estimator == "cge-by-block") return size->cge;
  if (r.estimator == "cge-whole") return size->cge_whole;
  if (r.estimator == "rge") return size->rge;
  return {};
}

app::table paper_csv(const results_list& results, std::int64_t test_images, const settings& s) {
  app::table table({"method", "parameters", "steps", "queries", "forward_passes", "seconds",
                    "test_accuracy", "standard_error", "paper_accuracy", "paper_hours"});
  for (const training_report& r : results) {
    const auto paper = paper_of(r, s);
    table.add({r.estimator, std::to_string(r.parameters), std::to_string(r.last().step),
               std::to_string(r.last().queries), app::shortest(r.last().passes),
               app::fixed(r.last().seconds, 3), app::shortest(r.last().accuracy),
               app::shortest(standard_error(r.last().accuracy, test_images)),
               paper ? app::shortest(paper->accuracy / 100) : "",
               paper && paper->hours ? app::shortest(*paper->hours) : ""});
  }
  return table;
}

// Our lines, and dashed those of the paper.
app::chart beside_paper(const results_list& results, const settings& s) {
  app::chart chart =
      by_size(results, "Test accuracy by size, " + subject(s), "share of test images",
              [](const training_report& r) { return r.last().accuracy; });
  if (s.dataset != "cifar10") return chart;
  const auto add = [&](const std::string& name, const printed printed_size::*which) {
    app::chart_series line{.name = "paper, " + name, .x = {}, .y = {}, .error = {}};
    for (const printed_size& size : paper_sizes) {
      line.x.push_back(static_cast<double>(size.parameters));
      line.y.push_back((size.*which).accuracy / 100);
    }
    line.dashed = true;
    chart.series.push_back(line);
  };
  add("first-order", &printed_size::first_order);
  add("CGE", &printed_size::cge);
  add("RGE", &printed_size::rge);
  return chart;
}

std::string recipe_text(std::int64_t test_images, const settings& s) {
  return "Test accuracy in percent ± standard error, " + std::to_string(test_images) +
         " images; forward passes: the work, in passes of a batch of " + std::to_string(s.batch) +
         ",\nby multiplications (a first-order step counts as 3). Seconds without evaluations. " +
         std::to_string(s.epochs) + (s.epochs == 1 ? " epoch" : " epochs") + ", rate " +
         app::shortest(s.rate) + ", mu " + app::shortest(s.smoothing) + ", seed " +
         std::to_string(s.seed) + ", " + std::to_string(s.threads) +
         (s.threads == 1 ? " thread" : " threads") + ".\n";
}

}  // namespace

std::string table_text(const results_list& results, std::int64_t test_images, const settings& s) {
  return table_of(results, test_images, s).text() + "\n" + recipe_text(test_images, s);
}

std::vector<std::string> write_results(const results_list& results,
                                       const std::vector<app::rank_usage>& usage,
                                       std::int64_t test_images, const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json",
                        summary(results, usage, test_images, s).dump(2) + "\n");
  app::write_atomically(s.out / "curve.csv", csv_of(results).csv());
  draw(s.out / "accuracy_queries.png",
       curves(results, s, "queries, each of a whole batch",
              [](const curve_point& p) { return static_cast<double>(p.queries); }),
       notes);
  draw(s.out / "accuracy_seconds.png",
       curves(results, s, "seconds of training, " + std::to_string(s.threads) + " threads",
              [](const curve_point& p) { return p.seconds; }),
       notes);
  return notes;
}

std::string study_text(const results_list& results, std::int64_t test_images, const settings& s) {
  return table_of(results, test_images, s).text() + "\n" + recipe_text(test_images, s) +
         "cge-whole asks the same coordinates by whole forward passes, without reuse.\n";
}

std::vector<std::string> write_study(const results_list& results,
                                     const std::vector<app::rank_usage>& usage,
                                     std::int64_t test_images, const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json",
                        summary(results, usage, test_images, s).dump(2) + "\n");
  app::write_atomically(s.out / "study.csv", csv_of(results).csv());
  draw(s.out / "study_accuracy.png",
       by_size(results, "Test accuracy by size, " + subject(s), "share of test images",
               [](const training_report& r) { return r.last().accuracy; }),
       notes);
  draw(s.out / "study_seconds.png",
       by_size(results, "Seconds of training by size, " + subject(s),
               "seconds of training, " + std::to_string(s.threads) + " threads",
               [](const training_report& r) { return r.last().seconds; }),
       notes);
  return notes;
}

std::string paper_table_text(const results_list& results, std::int64_t test_images,
                             const settings& s) {
  app::table table({"method", "parameters", "gradient of a step", "test accuracy", "queries",
                    "forward passes", "seconds", "paper, %", "paper, hours"});
  for (const training_report& r : results) {
    const auto paper = paper_of(r, s);
    table.add({r.estimator, std::to_string(r.parameters), gradient_text(r, s),
               percent(r.last().accuracy, test_images),
               asks(r) ? app::format_count(static_cast<double>(r.last().queries)) : "-",
               app::format_count(r.last().passes), app::fixed(r.last().seconds, 1),
               paper ? app::fixed(paper->accuracy, 2) : "-",
               paper && paper->hours ? app::fixed(*paper->hours, 2) : "-"});
  }
  return table.text() + "\n" + recipe_text(test_images, s) +
         "Of the paper: Chen et al., ICLR 2024, figure 5, 10,000 test images; hours on one RTX "
         "A6000. Its CGE, all\ncoordinates with reuse of features, stands beside cge and "
         "cge-by-block; its RGE has as many directions as\nparameters.\n";
}

std::vector<std::string> write_paper_table(const results_list& results,
                                           const std::vector<app::rank_usage>& usage,
                                           std::int64_t test_images, const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json",
                        summary(results, usage, test_images, s).dump(2) + "\n");
  app::write_atomically(s.out / "table.csv", paper_csv(results, test_images, s).csv());
  app::write_atomically(s.out / "curve.csv", csv_of(results).csv());
  draw(s.out / "table_accuracy.png", beside_paper(results, s), notes);
  results_list largest;
  for (const training_report& r : results) {
    if (r.parameters == results.back().parameters) largest.push_back(r);
  }
  draw(s.out / "table_curve.png",
       curves(largest, s, "seconds of training, " + std::to_string(s.threads) + " threads",
              [](const curve_point& p) { return p.seconds; }),
       notes);
  return notes;
}

std::string usage_text(const std::vector<app::rank_usage>& usage, const settings& s) {
  if (usage.empty()) return "";
  std::string text = "\n" + app::usage_table(usage).text();
  if (std::ranges::find(s.estimators, "first-order") != s.estimators.end()) {
    text += "Not shared, each process made the same steps: first-order.\n";
  }
  return text;
}

std::vector<std::string> result_names(const settings& s) {
  std::vector<std::string> names = {"summary.json"}, pictures;
  switch (s.what) {
    case comparison::estimators:
      names.push_back("curve.csv");
      pictures = {"accuracy_queries.png", "accuracy_seconds.png"};
      break;
    case comparison::sizes:
      names.push_back("study.csv");
      pictures = {"study_accuracy.png", "study_seconds.png"};
      break;
    case comparison::paper:
      names.insert(names.end(), {"table.csv", "curve.csv"});
      pictures = {"table_accuracy.png", "table_curve.png"};
      break;
  }
  for (const std::string& picture : pictures) {
    for (const std::string& file : app::chart_files(picture)) names.push_back(file);
  }
  return names;
}

}  // namespace deepzero
