// Results as a table, CSV, JSON and pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "certify.hpp"
#include "method.hpp"
#include "problem.hpp"
#include "settings.hpp"
#include "stage.hpp"
#include "training.hpp"

namespace defense {

/// What is known about one method after training and certification.
struct method_result {
  method how;
  stage_report training;
  certified verdicts;
  double noisy_start = 0;     ///< accuracy on one noisy copy of each test image, before training
  double noisy_accuracy = 0;  ///< the same after training
};

struct run_result {
  double clean_accuracy = 0;  ///< of the undefended classifier on all test images
  double noisy_accuracy = 0;  ///< the same with one draw of noise
  std::int64_t test_images = 0;
  double autoencoder_error = 0;
  std::vector<method_result> methods;  ///< rows of the table
  std::vector<method_result> sweep;    ///< query-only methods at several budgets
};

/// Radii of the table.
const std::vector<double>& table_radii();

/// The table for people, with the settings that its figures depend on.
std::string table_text(const run_result& result, const settings& s);

/// Writes summary.json, results.csv, certificates.csv, certified_accuracy.png and, after a sweep,
/// sweep.csv and sweep_radius_*.png into s.out. Returns sentences for the user, such as that
/// gnuplot is missing.
std::vector<std::string> write_results(const run_result& result, const settings& s);

/// Writes images.png: clean, noisy, denoised and decoded test images of one defense.
void write_images(const defended& front, const problem& p, const settings& s);

/// The files that these write.
std::vector<std::string> result_names(const settings& s);

}  // namespace defense
