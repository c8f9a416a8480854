// Results as tables, CSV, JSON and pictures.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "blackbox_defense/certify.hpp"
#include "settings.hpp"
#include "training.hpp"

namespace denoiser {

/// A number with two standard errors: over images, and over trainings; NaN of a single one.
struct estimate_of {
  double value = 0;
  double over_images = 0;
  double over_trainings = 0;
};

/// One row of the table: a method with all its trainings.
struct method_result {
  std::string name;
  std::vector<training_report> trainings;    ///< none of "none"; of "start" without queries
  std::vector<defense::certified> verdicts;  ///< by training
  std::vector<double> noisy;                 ///< accuracy on held-out images, by training
  torch::Tensor shown;                       ///< the first test images, noisy, as the classifier
                                             ///< sees them after the first training
};

struct run_result {
  double clean_accuracy = 0;  ///< of the classifier alone
  std::int64_t test_images = 0;
  std::int64_t parameters = 0;  ///< of the denoiser
  torch::Tensor clean;          ///< the first test images
  std::vector<method_result> methods;
};

/// Certified accuracy at a radius: the mean over images and trainings.
estimate_of certified_at(const method_result& result, double radius);

/// How much of it one method has more than the other, image by image and training by training.
estimate_of difference_at(const method_result& one, const method_result& other, double radius);

std::string table_text(const run_result& result, const settings& s);

/// Writes summary.json, results.csv, curve.csv and the pictures into the folder of the run. Returns
/// sentences for the user, such as that gnuplot is missing.
std::vector<std::string> write_results(const run_result& result, const settings& s);

/// What --tune has found: accuracy on held-out images by method and rate.
struct tuned {
  std::string method;
  std::vector<double> accuracy;  ///< by rate of tuned_rates()
};
std::string tuning_text(const std::vector<tuned>& all, const settings& s);
void write_tuning(const std::vector<tuned>& all, const settings& s);

/// The files that these write.
std::vector<std::string> result_names(const settings& s);

}  // namespace denoiser
