// Results as tables, CSV, JSON and pictures.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/picture.hpp"
#include "settings.hpp"

namespace reconstruction {

/// Whose gradients an attack follows: of the reconstructor alone, whatever stands in front of it,
/// as the paper's published code does; or of the whole defended reconstruction.
inline constexpr std::array attack_targets = {"network", "whole"};

/// What is left of each test image under attacks of one kind, compared with the original:
/// [norm][image].
struct scores {
  std::vector<std::vector<double>> rmse;
  std::vector<std::vector<double>> ssim;
};

/// One of the seeds of a method.
struct method_run {
  std::uint64_t seed = 0;
  std::int64_t queries = 0;  ///< of training
  double seconds = 0;        ///< of training
  double loss = 0;           ///< at its end
  std::array<scores, attack_targets.size()> under;
};

struct method_result {
  std::string name;
  std::string access;  ///< of training: "none", "gradients" or "queries"
  std::vector<method_run> runs;
};

struct run_result {
  double reconstructor_error = 0;
  double autoencoder_error = 0;
  std::vector<method_result> methods;
  app::image_sheet images;
};

/// Tables for people, with the settings that their figures depend on.
std::string table_text(const run_result& result, const settings& s);

/// Writes summary.json, results.csv, images.csv (each image), images.png and a chart for each
/// target and score into s.common.out. Returns sentences for the user, such as that gnuplot is
/// missing.
std::vector<std::string> write_results(const run_result& result, const settings& s);

/// The files that it writes.
std::vector<std::string> result_names();

}  // namespace reconstruction
