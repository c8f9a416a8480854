#include "report.hpp"

#include <cmath>
#include <limits>
#include <sstream>

#include "common/chart.hpp"
#include "common/file.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace reconstruction {

namespace {

// What is measured of an image: its name, where it stands, and its axis.
struct measure {
  std::string name;
  std::vector<std::vector<double>> scores::*values;
  std::string label;
};
const std::array measures = {
    measure{"rmse", &scores::rmse, "root mean squared error"},
    measure{"ssim", &scores::ssim, "structural similarity"},
};

struct spread {
  double mean = 0;
  double error = 0;  ///< standard error of the mean; NaN for one value
};

spread spread_of(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  spread found;
  for (const double value : values) found.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - found.mean) * (value - found.mean);
  found.error = values.size() > 1 ? std::sqrt(squares / (count - 1) / count)
                                  : std::numeric_limits<double>::quiet_NaN();
  return found;
}

struct figure {
  double mean = 0;
  double over_seeds = 0;   ///< standard error of the runs' means
  double over_images = 0;  ///< standard error of the images' means over the runs

  double error() const { return std::isnan(over_seeds) ? over_images : over_seeds; }
};

figure figure_of(const method_result& result, std::size_t target, std::size_t norm,
                 const measure& what) {
  std::vector<double> by_seed;
  std::vector<double> by_image;
  for (const method_run& run : result.runs) {
    const std::vector<double>& images = (run.under[target].*what.values)[norm];
    by_seed.push_back(spread_of(images).mean);
    by_image.resize(images.size());
    for (std::size_t i = 0; i < images.size(); ++i) {
      by_image[i] += images[i] / static_cast<double>(result.runs.size());
    }
  }
  const spread seeds = spread_of(by_seed);
  return {seeds.mean, seeds.error, spread_of(by_image).error};
}

double mean_of(const method_result& result, const auto& number) {
  std::vector<double> values;
  for (const method_run& run : result.runs) values.push_back(static_cast<double>(number(run)));
  return spread_of(values).mean;
}

double queries_a_step(const method_result& result, const defense::settings& s) {
  return mean_of(result, [](const auto& run) { return run.queries; }) /
         static_cast<double>(s.steps * s.batch);
}

std::vector<std::string> header_of_norms(std::vector<std::string> header) {
  for (const int norm : attack_norms) header.push_back("norm " + std::to_string(norm));
  return header;
}

app::table training_table(const run_result& result, const settings& s) {
  app::table table({"method", "trained by", "queries/step", "queries", "seconds", "loss"});
  for (const method_result& one : result.methods) {
    if (one.access == "none") {
      table.add({one.name, "-", "-", "-", "-", "-"});
      continue;
    }
    table.add({one.name, one.access, app::shortest(queries_a_step(one, s.common)),
               app::format_count(mean_of(one, [](const auto& run) { return run.queries; })),
               app::fixed(mean_of(one, [](const auto& run) { return run.seconds; }), 0),
               app::fixed(mean_of(one, [](const auto& run) { return run.loss; }), 4)});
  }
  return table;
}

app::table score_table(const run_result& result, std::size_t target, const measure& what) {
  app::table table(header_of_norms({what.name}));
  for (const method_result& one : result.methods) {
    std::vector<std::string> row = {one.name};
    for (std::size_t norm = 0; norm < attack_norms.size(); ++norm) {
      const figure f = figure_of(one, target, norm, what);
      row.push_back(app::fixed(f.mean, 3) + " ± " + app::fixed(f.error(), 3));
    }
    table.add(row);
  }
  return table;
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

// Calls with(method, target, norm, figure of each measure) for every cell of the tables.
template <class With>
void for_each_cell(const run_result& result, const With& with) {
  for (const method_result& one : result.methods) {
    for (std::size_t target = 0; target < attack_targets.size(); ++target) {
      for (std::size_t norm = 0; norm < attack_norms.size(); ++norm) {
        with(one, target, norm, figure_of(one, target, norm, measures[0]),
             figure_of(one, target, norm, measures[1]));
      }
    }
  }
}

nlohmann::json to_json(const figure& f) {
  return {{"mean", number_or_null(f.mean)},
          {"standard_error_over_seeds", number_or_null(f.over_seeds)},
          {"standard_error_over_images", number_or_null(f.over_images)}};
}

nlohmann::json summary(const run_result& result, const settings& s) {
  nlohmann::json all = {
      {"settings", to_json(s)},
      {"reconstructor_mean_squared_error", number_or_null(result.reconstructor_error)},
      {"autoencoder_mean_squared_error", number_or_null(result.autoencoder_error)},
      {"methods", nlohmann::json::array()},
      {"attacks", nlohmann::json::array()}};
  for (const method_result& one : result.methods) {
    nlohmann::json runs = nlohmann::json::array();
    for (const method_run& run : one.runs) {
      runs.push_back({{"seed", run.seed},
                      {"training_queries", run.queries},
                      {"training_seconds", run.seconds},
                      {"training_loss", number_or_null(run.loss)}});
    }
    all["methods"].push_back({{"method", one.name}, {"access", one.access}, {"runs", runs}});
  }
  for_each_cell(result, [&](const method_result& one, std::size_t target, std::size_t norm,
                            const figure& rmse, const figure& ssim) {
    all["attacks"].push_back({{"method", one.name},
                              {"target", attack_targets[target]},
                              {"norm", attack_norms[norm]},
                              {"rmse", to_json(rmse)},
                              {"ssim", to_json(ssim)}});
  });
  return all;
}

std::string results_csv(const run_result& result) {
  app::table table({"method", "target", "norm", "rmse", "rmse_error_over_seeds",
                    "rmse_error_over_images", "ssim", "ssim_error_over_seeds",
                    "ssim_error_over_images"});
  for_each_cell(result, [&](const method_result& one, std::size_t target, std::size_t norm,
                            const figure& rmse, const figure& ssim) {
    std::vector<std::string> row = {one.name, attack_targets[target],
                                    std::to_string(attack_norms[norm])};
    for (const figure* f : {&rmse, &ssim}) {
      for (const double value : {f->mean, f->over_seeds, f->over_images}) {
        row.push_back(std::isfinite(value) ? app::shortest(value) : "");
      }
    }
    table.add(row);
  });
  return table.csv();
}

std::string images_csv(const run_result& result) {
  app::table table({"method", "seed", "target", "norm", "image", "rmse", "ssim"});
  for (const method_result& one : result.methods) {
    for (const method_run& run : one.runs) {
      for (std::size_t target = 0; target < attack_targets.size(); ++target) {
        const scores& under = run.under[target];
        for (std::size_t norm = 0; norm < attack_norms.size(); ++norm) {
          for (std::size_t i = 0; i < under.rmse[norm].size(); ++i) {
            table.add({one.name, std::to_string(run.seed), attack_targets[target],
                       std::to_string(attack_norms[norm]), std::to_string(i),
                       app::shortest(under.rmse[norm][i]), app::shortest(under.ssim[norm][i])});
          }
        }
      }
    }
  }
  return table.csv();
}

std::string target_in_words(std::size_t target) {
  return target == 0 ? "the reconstructor alone" : "the whole defense";
}

std::string picture_name(std::size_t target, const measure& what) {
  return what.name + "_" + attack_targets[target] + ".png";
}

app::chart chart_of(const run_result& result, std::size_t target, const measure& what) {
  app::chart chart;
  chart.title = "Attack on " + target_in_words(target);
  chart.x_label = "2-norm of the attack on the measured image";
  chart.y_label = what.label;
  if (what.name == "rmse") chart.y_min = 0;
  for (const method_result& one : result.methods) {
    app::chart_series line;
    line.name = one.name;
    line.dashed = one.access == "gradients";
    for (std::size_t norm = 0; norm < attack_norms.size(); ++norm) {
      const figure f = figure_of(one, target, norm, what);
      line.x.push_back(attack_norms[norm]);
      line.y.push_back(f.mean);
      line.error.push_back(std::isfinite(f.error()) ? f.error() : 0);
    }
    chart.series.push_back(line);
  }
  return chart;
}

}  // namespace

std::string table_text(const run_result& result, const settings& s) {
  std::ostringstream text;
  text << training_table(result, s).text();
  for (std::size_t target = 0; target < attack_targets.size(); ++target) {
    text << "\nAttack on " << target_in_words(target) << "\n";
    for (const measure& what : measures) text << score_table(result, target, what).text();
  }
  text << "\nThe first " << s.common.images
       << " test images against the originals, mean ± standard "
       << "error over "
       << (s.seeds > 1 ? std::to_string(s.seeds) + " seeds of training and attack" : "the images")
       << ".\nMeasured by " << s.measurements << " numbers; noise sd "
       << app::shortest(s.common.noise) << ", " << s.copies << " noisy copies averaged; "
       << s.attack_steps << " steps an attack.\nTrained by " << s.common.steps << " steps of "
       << s.common.batch << " images; queries/step: of each image.\n";
  return text.str();
}

std::vector<std::string> write_results(const run_result& result, const settings& s) {
  const std::filesystem::path& out = s.common.out;
  std::vector<std::string> notes;
  app::write_atomically(out / "summary.json", summary(result, s).dump(2) + "\n");
  app::write_atomically(out / "results.csv", results_csv(result));
  app::write_atomically(out / "images.csv", images_csv(result));
  app::write_image_sheet(out / "images.png", result.images);
  for (std::size_t target = 0; target < attack_targets.size(); ++target) {
    for (const measure& what : measures) {
      const std::string note =
          app::write_chart(out / picture_name(target, what), chart_of(result, target, what));
      if (!note.empty() && notes.empty()) notes.push_back(note);
    }
  }
  return notes;
}

std::vector<std::string> result_names() {
  std::vector<std::string> names = {"summary.json", "results.csv", "images.csv", "images.png"};
  for (std::size_t target = 0; target < attack_targets.size(); ++target) {
    for (const measure& what : measures) {
      for (const std::string& file : app::chart_files(picture_name(target, what))) {
        names.push_back(file);
      }
    }
  }
  return names;
}

}  // namespace reconstruction
