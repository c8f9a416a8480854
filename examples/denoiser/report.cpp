#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include "common/certification.hpp"
#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/picture.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace denoiser {

namespace {

double largest_radius(const settings& s) {
  return app::certified_radius(app::clopper_pearson_lower(s.base.n, s.base.n, s.base.alpha),
                               s.base.noise);
}

// Those of the papers that so many noisy copies can certify at all.
std::vector<double> radii_of(const settings& s) {
  std::vector<double> radii = {0.0, 0.25, 0.5, 0.75};
  std::erase_if(radii, [&](double radius) { return radius > largest_radius(s); });
  return radii;
}

double mean_of(const std::vector<double>& values) {
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

// Of their mean; NaN of a single one.
double standard_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1) / n);
}

// 1 for each image that is certified at the radius, by training.
std::vector<std::vector<double>> certified_images(const method_result& result, double radius) {
  std::vector<std::vector<double>> all;
  for (const defense::certified& of : result.verdicts) {
    std::vector<double> one;
    for (std::size_t i = 0; i < of.certificates.size(); ++i) {
      const auto& c = of.certificates[i];
      one.push_back(c.prediction == of.labels[i] && (radius == 0 || c.radius >= radius) ? 1 : 0);
    }
    all.push_back(std::move(one));
  }
  return all;
}

estimate_of summed_up(const std::vector<std::vector<double>>& trainings) {
  std::vector<double> by_image(trainings.front().size(), 0), by_training;
  for (const auto& one : trainings) {
    for (std::size_t i = 0; i < one.size(); ++i) {
      by_image[i] += one[i] / static_cast<double>(trainings.size());
    }
    by_training.push_back(mean_of(one));
  }
  return {mean_of(by_image), standard_error(by_image), standard_error(by_training)};
}

// Without the sign of a zero.
std::string percent(double share) { return app::fixed(std::round(1000 * share) / 10 + 0.0, 1); }

// "83.2 ± 2.4 ± 0.5"; the last of a single training is not known.
std::string text_of(const estimate_of& e) {
  std::string text = percent(e.value) + " ± " + percent(e.over_images);
  if (std::isfinite(e.over_trainings)) text += " ± " + percent(e.over_trainings);
  return text;
}

// Of numbers by training: "84.8 ± 0.2".
std::string text_of(const std::vector<double>& by_training) {
  const std::string mean = percent(mean_of(by_training));
  if (by_training.size() == 1) return mean;
  return mean + " ± " + percent(standard_error(by_training));
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(const estimate_of& e) {
  return {{"value", number_or_null(e.value)},
          {"standard_error_over_images", number_or_null(e.over_images)},
          {"standard_error_over_trainings", number_or_null(e.over_trainings)}};
}

const method_result* find(const run_result& result, const std::string& name) {
  const auto found = std::ranges::find(result.methods, name, &method_result::name);
  return found == result.methods.end() ? nullptr : &*found;
}

template <class Number>
std::vector<double> by_training(const method_result& result, const Number& number) {
  std::vector<double> values;
  for (const training_report& one : result.trainings) {
    values.push_back(static_cast<double>(number(one)));
  }
  return values;
}

app::table table_of(const run_result& result, const std::vector<double>& radii) {
  std::vector<std::string> header = {"method", "rate", "queries/step", "queries", "train s"};
  for (const double radius : radii) header.push_back("r=" + app::fixed(radius, 2));
  header.push_back("noisy");
  app::table table(header);
  for (const method_result& one : result.methods) {
    std::vector<std::string> row = {one.name, "-", "-", "-", "-"};
    if (!one.trainings.empty()) {
      row[1] = app::shortest(one.trainings.front().rate);
      row[2] = std::to_string(one.trainings.front().step_queries);
      row[3] = app::format_count(
          mean_of(by_training(one, [](const auto& t) { return t.stage.queries; })));
      row[4] =
          app::fixed(mean_of(by_training(one, [](const auto& t) { return t.stage.seconds; })), 0);
    }
    for (const double radius : radii) row.push_back(text_of(certified_at(one, radius)));
    row.push_back(text_of(one.noisy));
    table.add(row);
  }
  return table;
}

app::table difference_table(const run_result& result, const method_result& deepzero,
                            const std::vector<double>& radii) {
  std::vector<std::string> header = {"deepzero minus"};
  for (const double radius : radii) header.push_back("r=" + app::fixed(radius, 2));
  header.push_back("noisy");
  app::table table(header);
  for (const method_result& other : result.methods) {
    if (&other == &deepzero) continue;
    std::vector<std::string> row = {other.name};
    for (const double radius : radii) {
      row.push_back(text_of(difference_at(deepzero, other, radius)));
    }
    std::vector<double> noisy = deepzero.noisy;
    for (std::size_t k = 0; k < noisy.size(); ++k) {
      noisy[k] -= other.noisy[other.noisy.size() == 1 ? 0 : k];
    }
    row.push_back(text_of(noisy));
    table.add(row);
  }
  return table;
}

app::table results_csv(const run_result& result, const std::vector<double>& radii) {
  app::table table({"method", "seed", "rate", "queries_per_step", "queries", "seconds", "radius",
                    "certified_accuracy", "standard_error", "images", "held_out_accuracy"});
  for (const method_result& one : result.methods) {
    for (std::size_t k = 0; k < one.verdicts.size(); ++k) {
      const bool trained = !one.trainings.empty();
      const training_report report = trained ? one.trainings[k] : training_report{};
      for (const double radius : radii) {
        const auto share =
            app::certified_accuracy(one.verdicts[k].certificates, one.verdicts[k].labels, radius);
        table.add({one.name, trained ? std::to_string(report.seed) : "", app::shortest(report.rate),
                   std::to_string(report.step_queries), std::to_string(report.stage.queries),
                   app::fixed(report.stage.seconds, 1), app::fixed(radius, 2),
                   app::shortest(share.value()), app::shortest(share.standard_error()),
                   std::to_string(share.trials), app::shortest(one.noisy[k])});
      }
    }
  }
  return table;
}

app::table curve_csv(const run_result& result) {
  app::table table({"method", "seed", "step", "queries", "held_out_accuracy"});
  for (const method_result& one : result.methods) {
    for (const training_report& report : one.trainings) {
      for (const curve_point& p : report.curve) {
        table.add({one.name, std::to_string(report.seed), std::to_string(p.step),
                   std::to_string(p.queries), app::shortest(p.accuracy)});
      }
    }
  }
  return table;
}

nlohmann::json summary(const run_result& result, const settings& s) {
  nlohmann::json all;
  all["settings"] = denoiser::to_json(s);
  all["classifier_accuracy"] = result.clean_accuracy;
  all["test_images"] = result.test_images;
  all["denoiser_parameters"] = result.parameters;
  all["methods"] = nlohmann::json::array();
  const method_result* const deepzero = find(result, "deepzero");
  for (const method_result& one : result.methods) {
    nlohmann::json entry = {{"method", one.name}, {"held_out_accuracy", mean_of(one.noisy)}};
    for (const double radius : radii_of(s)) {
      nlohmann::json certified = to_json(certified_at(one, radius));
      certified["radius"] = radius;
      if (deepzero != nullptr && &one != deepzero) {
        certified["deepzero_minus_this"] = to_json(difference_at(*deepzero, one, radius));
      }
      entry["certified_accuracy"].push_back(certified);
    }
    entry["trainings"] = nlohmann::json::array();
    for (const training_report& report : one.trainings) {
      nlohmann::json curve = nlohmann::json::array();
      for (const curve_point& p : report.curve) {
        curve.push_back({{"step", p.step}, {"queries", p.queries}, {"accuracy", p.accuracy}});
      }
      entry["trainings"].push_back({{"seed", report.seed},
                                    {"rate", report.rate},
                                    {"queries_per_step", report.step_queries},
                                    {"queries", report.stage.queries},
                                    {"seconds", report.stage.seconds},
                                    {"loss", number_or_null(report.stage.loss)},
                                    {"held_out_accuracy", curve}});
    }
    all["methods"].push_back(entry);
  }
  return all;
}

app::chart certified_chart(const run_result& result, const settings& s) {
  app::chart chart;
  chart.title = "Certified accuracy, Fashion-MNIST";
  chart.x_label = "radius in the 2-norm, pixels in [0, 1]";
  chart.y_label = "share of test images";
  chart.y_min = 0;
  chart.y_max = 1;
  for (const method_result& one : result.methods) {
    if (one.name == "none") continue;  // far below all others, as the table says
    app::chart_series line;
    line.name = one.name;
    line.dashed = !asks(one.name) || one.trainings.empty();
    line.markers = false;
    for (int i = 0; i <= 100; ++i) {
      line.x.push_back(std::ceil(10 * largest_radius(s)) / 10 * i / 100);
      line.y.push_back(certified_at(one, line.x.back()).value);
    }
    chart.series.push_back(line);
  }
  return chart;
}

// Means over the trainings; white-box methods, whose queries are few, as level lines at their end.
app::chart curve_chart(const run_result& result) {
  app::chart chart;
  chart.title = "Accuracy under noise by queries, Fashion-MNIST";
  chart.x_label = "queries";
  chart.y_label = "share of held-out noisy images";
  std::vector<app::chart_series> levels;
  double most = 0;
  for (const method_result& one : result.methods) {
    if (one.trainings.empty()) continue;
    app::chart_series line;
    line.name = one.name;
    for (std::size_t k = 0; k < one.trainings.front().curve.size(); ++k) {
      line.x.push_back(
          mean_of(by_training(one, [&](const auto& t) { return t.curve[k].queries; })));
      const auto shares = by_training(one, [&](const auto& t) { return t.curve[k].accuracy; });
      line.y.push_back(mean_of(shares));
      line.error.push_back(shares.size() > 1 ? standard_error(shares) : 0);
    }
    if (asks(one.name)) {
      most = std::max(most, line.x.back());
      chart.series.push_back(line);
    } else {
      line.x = {0, 0};
      line.y = {line.y.back(), line.y.back()};
      line.error.clear();
      line.dashed = true;
      line.markers = false;
      levels.push_back(line);
    }
  }
  for (app::chart_series& line : levels) {
    line.x[1] = most > 0 ? most : 1;
    chart.series.push_back(line);
  }
  return chart;
}

void draw(const std::filesystem::path& path, const app::chart& chart,
          std::vector<std::string>& notes) {
  if (chart.series.empty()) return;
  const std::string note = app::write_chart(path, chart);
  if (!note.empty() && (notes.empty() || notes.back() != note)) notes.push_back(note);
}

void write_images(const run_result& result, const settings& s) {
  app::image_sheet sheet;
  sheet.title = "Fashion-MNIST, noise sd " + app::shortest(s.base.noise);
  sheet.channels = result.clean.size(1);
  sheet.image_rows = result.clean.size(2);
  sheet.image_columns = result.clean.size(3);
  for (std::int64_t i = 0; i < result.clean.size(0); ++i) {
    sheet.column_captions.push_back(std::to_string(i));
  }
  const auto add = [&](const std::string& caption, const torch::Tensor& images) {
    sheet.row_captions.push_back(caption);
    for (std::int64_t i = 0; i < images.size(0); ++i) {
      const torch::Tensor image = images[i].contiguous();
      sheet.images.push_back(
          app::to_bytes({image.data_ptr<float>(), static_cast<std::size_t>(image.numel())}));
    }
  };
  add("clean", result.clean);
  for (const method_result& one : result.methods) {
    add(one.name == "none" ? "noisy" : one.name, one.shown);
  }
  app::write_image_sheet(s.base.out / "images.png", sheet);
}

std::string rate_name(double rate) { return "rate " + app::shortest(rate); }

}  // namespace

estimate_of certified_at(const method_result& result, double radius) {
  return summed_up(certified_images(result, radius));
}

estimate_of difference_at(const method_result& one, const method_result& other, double radius) {
  auto more = certified_images(one, radius);
  const auto less = certified_images(other, radius);
  for (std::size_t k = 0; k < more.size(); ++k) {
    const auto& from = less[less.size() == 1 ? 0 : k];  // "none" has one verdict for all
    for (std::size_t i = 0; i < more[k].size(); ++i) more[k][i] -= from[i];
  }
  return summed_up(more);
}

std::string table_text(const run_result& result, const settings& s) {
  std::ostringstream text;
  text << "Classifier without noise " << percent(result.clean_accuracy) << " % of "
       << result.test_images << " test images; denoiser of " << result.parameters << " weights\n\n"
       << table_of(result, radii_of(s)).text();
  if (const method_result* const deepzero = find(result, "deepzero")) {
    text << "\n" << difference_table(result, *deepzero, radii_of(s)).text();
  }
  text << "\nr: percent of the first " << result.methods.front().verdicts.front().labels.size()
       << " test images certified at that radius, mean of " << s.seeds
       << " trainings ± standard error over images" << (s.seeds > 1 ? " ± over trainings" : "")
       << ".\nN0 " << s.base.n0 << ", N " << s.base.n << ", alpha " << app::shortest(s.base.alpha)
       << ": no radius above " << app::fixed(largest_radius(s), 3)
       << " can be certified. noisy: percent of " << s.held_out
       << " noisy training\nimages right that no denoiser has seen, ± over trainings. Trained by "
       << s.base.steps << " steps of " << s.base.batch << " images, q " << s.q << ", from the "
       << s.start << " start.\nQueries count images.\n";
  return text.str();
}

std::vector<std::string> write_results(const run_result& result, const settings& s) {
  std::vector<std::string> notes;
  const auto& out = s.base.out;
  app::write_atomically(out / "summary.json", summary(result, s).dump(2) + "\n");
  app::write_atomically(out / "results.csv", results_csv(result, radii_of(s)).csv());
  app::write_atomically(out / "curve.csv", curve_csv(result).csv());
  draw(out / "certified_accuracy.png", certified_chart(result, s), notes);
  draw(out / "accuracy_queries.png", curve_chart(result), notes);
  write_images(result, s);
  return notes;
}

std::string tuning_text(const std::vector<tuned>& all, const settings& s) {
  std::vector<std::string> header = {"method"};
  for (const double rate : tuned_rates()) header.push_back(rate_name(rate));
  header.push_back("best");
  app::table table(header);
  for (const tuned& one : all) {
    std::vector<std::string> row = {one.method};
    for (const double share : one.accuracy) row.push_back(percent(share));
    const auto best = std::ranges::max_element(one.accuracy) - one.accuracy.begin();
    row.push_back(app::shortest(tuned_rates()[static_cast<std::size_t>(best)]));
    table.add(row);
  }
  std::ostringstream text;
  text << table.text() << "\nPercent of noisy training images right that no denoiser was trained "
       << "on, after " << s.base.steps << " steps of " << s.base.batch << " images, seed "
       << s.base.seed << ".\n";
  return text.str();
}

void write_tuning(const std::vector<tuned>& all, const settings& s) {
  nlohmann::json file = {{"settings", to_json(s)}, {"rates", tuned_rates()}};
  for (const tuned& one : all) file["held_out_accuracy"][one.method] = one.accuracy;
  app::write_atomically(s.base.out / "tuning.json", file.dump(2) + "\n");
}

std::vector<std::string> result_names(const settings& s) {
  if (s.tune) return {"tuning.json"};
  std::vector<std::string> names = {"summary.json", "results.csv", "curve.csv", "images.png"};
  for (const char* picture : {"certified_accuracy.png", "accuracy_queries.png"}) {
    for (const std::string& file : app::chart_files(picture)) names.push_back(file);
  }
  return names;
}

}  // namespace denoiser
