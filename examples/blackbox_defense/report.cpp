#include "report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <sstream>

#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/picture.hpp"
#include "common/resume.hpp"
#include "common/table.hpp"
#include "common/text.hpp"
#include "randomness.hpp"

namespace defense {

namespace {

app::proportion at_radius(const method_result& result, double radius) {
  return app::certified_accuracy(result.verdicts.certificates, result.verdicts.labels, radius);
}

std::string percent(double share) { return app::fixed(100 * share, 1); }

// "87.3 ± 1.5", in percent.
std::string with_error(const app::proportion& p) {
  return percent(p.value()) + " ± " + percent(p.standard_error());
}

double standard_error(double share, std::int64_t count) {
  return std::sqrt(share * (1 - share) / static_cast<double>(count));
}

std::string with_error(double share, std::int64_t count) {
  return percent(share) + " ± " + percent(standard_error(share, count));
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(const method_result& result, std::int64_t test_images) {
  nlohmann::json certified = nlohmann::json::array();
  for (const double radius : table_radii()) {
    const auto share = at_radius(result, radius);
    certified.push_back({{"radius", radius},
                         {"accuracy", number_or_null(share.value())},
                         {"standard_error", number_or_null(share.standard_error())}});
  }
  const auto standard = at_radius(result, 0);
  const auto abstained = app::abstentions(result.verdicts.certificates);
  return {{"method", result.how.name},
          {"access", !result.how.trained    ? "none"
                     : result.how.white_box ? "gradients"
                                            : "queries"},
          {"queries_per_image_and_step", result.how.step_queries},
          {"training_queries", result.training.queries},
          {"training_seconds", result.training.seconds},
          {"training_loss", number_or_null(result.training.loss)},
          {"certification_seconds", result.verdicts.seconds},
          {"standard_accuracy", number_or_null(standard.value())},
          {"standard_error", number_or_null(standard.standard_error())},
          {"certified_accuracy", certified},
          {"abstained", number_or_null(abstained.value())},
          {"abstained_standard_error", number_or_null(abstained.standard_error())},
          {"certified_images", standard.trials},
          {"noisy_accuracy_before_training", result.noisy_start},
          {"noisy_accuracy", result.noisy_accuracy},
          {"noisy_standard_error", standard_error(result.noisy_accuracy, test_images)}};
}

app::table table_of(const std::vector<method_result>& results, std::int64_t test_images) {
  std::vector<std::string> header = {"method", "queries/step", "queries", "train s"};
  for (const double radius : table_radii()) header.push_back("r=" + app::fixed(radius, 2));
  header.insert(header.end(), {"abstain", "noisy before", "noisy after"});
  app::table table(header);
  for (const auto& result : results) {
    const bool asks = result.how.step_queries > 0;
    std::vector<std::string> row = {
        result.how.name, asks ? std::to_string(result.how.step_queries) : "-",
        result.how.trained ? app::format_count(static_cast<double>(result.training.queries)) : "-",
        result.how.trained ? app::fixed(result.training.seconds, 0) : "-"};
    for (const double radius : table_radii()) row.push_back(with_error(at_radius(result, radius)));
    row.push_back(percent(app::abstentions(result.verdicts.certificates).value()));
    row.push_back(percent(result.noisy_start));
    row.push_back(with_error(result.noisy_accuracy, test_images));
    table.add(row);
  }
  return table;
}

app::table csv_of(const std::vector<method_result>& results) {
  app::table table({"method", "queries_per_image_and_step", "training_queries", "training_seconds",
                    "radius", "certified_accuracy", "standard_error", "images", "abstained"});
  for (const auto& result : results) {
    for (const double radius : table_radii()) {
      const auto share = at_radius(result, radius);
      table.add({result.how.name, std::to_string(result.how.step_queries),
                 std::to_string(result.training.queries), app::fixed(result.training.seconds, 1),
                 app::fixed(radius, 2), app::shortest(share.value()),
                 app::shortest(share.standard_error()), std::to_string(share.trials),
                 app::shortest(app::abstentions(result.verdicts.certificates).value())});
    }
  }
  return table;
}

std::string certificates_csv(const std::vector<method_result>& results) {
  app::table table({"method", "image", "label", "prediction", "lower_bound", "radius"});
  for (const auto& result : results) {
    for (std::size_t i = 0; i < result.verdicts.certificates.size(); ++i) {
      const auto& one = result.verdicts.certificates[i];
      table.add({result.how.name, std::to_string(i), std::to_string(result.verdicts.labels[i]),
                 std::to_string(one.prediction), app::shortest(one.lower_bound),
                 app::shortest(one.radius)});
    }
  }
  return table.csv();
}

// The largest radius that n agreeing answers can certify, rounded up to a tenth.
double radius_limit(const settings& s) {
  const double bound = app::clopper_pearson_lower(s.n, s.n, s.alpha);
  return std::ceil(10 * app::certified_radius(bound, s.noise)) / 10;
}

app::chart accuracy_chart(const run_result& result, const settings& s) {
  app::chart chart;
  chart.title = "Certified accuracy, " + s.dataset;
  chart.x_label = "radius in the 2-norm, pixels in [0, 1]";
  chart.y_label = "share of test images";
  chart.y_min = 0;
  chart.y_max = 1;
  for (const auto& method : result.methods) {
    app::chart_series line;
    line.name = method.how.name;
    line.dashed = method.how.white_box;
    line.markers = false;
    for (int i = 0; i <= 100; ++i) {
      line.x.push_back(radius_limit(s) * i / 100);
      line.y.push_back(at_radius(method, line.x.back()).value());
    }
    chart.series.push_back(line);
  }
  return chart;
}

// Accuracy at one radius against queries; white-box methods and no defense as level lines.
app::chart sweep_chart(const run_result& result, double radius, const settings& s) {
  app::chart chart;
  chart.title = radius > 0
                    ? "Certified accuracy at radius " + app::fixed(radius, 2) + ", " + s.dataset
                    : "Standard accuracy of the smoothed classifier, " + s.dataset;
  chart.x_label = "queries per image and step";
  chart.y_label = "share of test images";
  chart.log_x = true;
  chart.y_min = 0;
  chart.y_max = 1;
  std::map<std::string, app::chart_series> lines;
  double least = INFINITY;
  double most = 0;
  for (const auto& one : result.sweep) {
    auto& line = lines[one.how.name];
    line.name = one.how.name;
    const auto share = at_radius(one, radius);
    const auto queries = static_cast<double>(one.how.step_queries);
    line.x.push_back(queries);
    line.y.push_back(share.value());
    line.error.push_back(share.standard_error());
    least = std::min(least, queries);
    most = std::max(most, queries);
  }
  for (const auto& [name, line] : lines) chart.series.push_back(line);
  for (const auto& one : result.methods) {
    if (one.how.step_queries > 0) continue;
    const double level = at_radius(one, radius).value();
    app::chart_series line;
    line.name = one.how.name;
    line.x = {least, most};
    line.y = {level, level};
    line.dashed = true;
    line.markers = false;
    chart.series.push_back(line);
  }
  return chart;
}

nlohmann::json summary(const run_result& result, const settings& s) {
  nlohmann::json all;
  all["settings"] = defense::to_json(s);
  all["seed"] = s.seed;
  all["classifier"] = {
      {"clean_accuracy", result.clean_accuracy},
      {"clean_standard_error", standard_error(result.clean_accuracy, result.test_images)},
      {"noisy_accuracy", result.noisy_accuracy},
      {"noisy_standard_error", standard_error(result.noisy_accuracy, result.test_images)},
      {"test_images", result.test_images}};
  all["autoencoder_mean_squared_error"] = number_or_null(result.autoencoder_error);
  all["methods"] = nlohmann::json::array();
  for (const auto& method : result.methods)
    all["methods"].push_back(to_json(method, result.test_images));
  if (!result.sweep.empty()) all["sweep"] = nlohmann::json::array();
  for (const auto& method : result.sweep)
    all["sweep"].push_back(to_json(method, result.test_images));
  return all;
}

constexpr std::array sweep_radii = {0.0, 0.25, 0.5};

std::string sweep_picture(double radius) {
  return "sweep_radius_" + app::fixed(radius, 2) + ".png";
}

void draw(const std::filesystem::path& path, const app::chart& chart,
          std::vector<std::string>& notes) {
  const std::string note = app::write_chart(path, chart);
  if (!note.empty() && (notes.empty() || notes.back() != note)) notes.push_back(note);
}

}  // namespace

const std::vector<double>& table_radii() {
  static const std::vector<double> radii = {0, 0.25, 0.5, 0.75};
  return radii;
}

std::string table_text(const run_result& result, const settings& s) {
  std::ostringstream text;
  text << "Classifier without noise " << with_error(result.clean_accuracy, result.test_images)
       << " %, with noise " << with_error(result.noisy_accuracy, result.test_images) << " % ("
       << result.test_images << " test images, noise sd " << app::shortest(s.noise) << ")\n\n"
       << table_of(result.methods, result.test_images).text();
  if (!result.sweep.empty()) {
    text << "\nSweep over queries per image and step\n"
         << table_of(result.sweep, result.test_images).text();
  }
  const auto certified = result.methods.front().verdicts.certificates.size();
  const double limit =
      app::certified_radius(app::clopper_pearson_lower(s.n, s.n, s.alpha), s.noise);
  text << "\nr: percent of the first " << certified << " test images certified at that radius, "
       << "± standard error; r=0.00 is the accuracy\nof the smoothed classifier. N0 " << s.n0
       << ", N " << s.n << ", alpha " << app::shortest(s.alpha) << ": no radius above "
       << app::fixed(limit, 3) << " can be certified.\nnoisy: percent of all " << result.test_images
       << " test images right with one draw of noise, before and after "
       << "training.\nTrained by " << s.steps << " steps of " << s.batch << " images, seed "
       << s.seed << ".\n";
  return text.str();
}

std::vector<std::string> write_results(const run_result& result, const settings& s) {
  std::vector<std::string> notes;
  app::write_atomically(s.out / "summary.json", summary(result, s).dump(2) + "\n");
  app::write_atomically(s.out / "results.csv", csv_of(result.methods).csv());
  app::write_atomically(s.out / "certificates.csv", certificates_csv(result.methods));
  draw(s.out / "certified_accuracy.png", accuracy_chart(result, s), notes);
  if (result.sweep.empty()) return notes;
  app::write_atomically(s.out / "sweep.csv", csv_of(result.sweep).csv());
  for (const double radius : sweep_radii) {
    draw(s.out / sweep_picture(radius), sweep_chart(result, radius, s), notes);
  }
  return notes;
}

void write_images(const defended& front, const problem& p, const settings& s) {
  const torch::NoGradGuard no_gradient;
  constexpr std::int64_t shown = 10;
  const torch::Tensor clean = p.test.range(0, std::min(shown, p.test.count()));
  const torch::Tensor noise = normal(app::seed_for(s.seed, "picture"), 0, 0, clean.sizes());
  const torch::Tensor noisy = clean + s.noise * noise.to(clean.device());
  std::vector<torch::Tensor> rows = {clean, noisy, front.denoised(noisy)};
  app::image_sheet sheet;
  sheet.title = s.dataset + ", noise sd " + app::shortest(s.noise);
  sheet.row_captions = {"clean", "noisy", "denoised"};
  if (front.has_autoencoder()) {
    rows.push_back(front.shown(noisy));
    sheet.row_captions.push_back("decoded");
  }
  sheet.channels = clean.size(1);
  sheet.image_rows = clean.size(2);
  sheet.image_columns = clean.size(3);
  for (std::int64_t i = 0; i < clean.size(0); ++i) {
    sheet.column_captions.push_back(std::to_string(i));
  }
  for (const torch::Tensor& row : rows) {
    for (std::int64_t i = 0; i < row.size(0); ++i) {
      const torch::Tensor image = row[i].to(torch::kCPU).contiguous();
      sheet.images.push_back(
          app::to_bytes({image.data_ptr<float>(), static_cast<std::size_t>(image.numel())}));
    }
  }
  app::write_image_sheet(s.out / "images.png", sheet);
}

std::vector<std::string> result_names(const settings& s) {
  std::vector<std::string> names = {"summary.json", "results.csv", "certificates.csv",
                                    "images.png"};
  std::vector<std::string> pictures = {"certified_accuracy.png"};
  if (s.sweep) {
    names.push_back("sweep.csv");
    for (const double radius : sweep_radii) pictures.push_back(sweep_picture(radius));
  }
  for (const std::string& picture : pictures) {
    for (const std::string& file : app::chart_files(picture)) names.push_back(file);
  }
  return names;
}

}  // namespace defense
