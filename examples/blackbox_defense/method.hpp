// The defenses that are compared, and how each estimates its gradient.
#pragma once

#include <cstdint>
#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "settings.hpp"

namespace defense {

/// Random directions; `distribution` and `scheme` as on the command line.
zo::estimator_options make_rge(std::int64_t directions, double smoothing,
                               const std::string& distribution, const std::string& scheme);

/// `coordinates` of them drawn at random for each step, or all when it equals `dimension`.
zo::estimator_options make_cge(std::int64_t coordinates, std::int64_t dimension, double smoothing,
                               const std::string& scheme);

/// A row of the table.
struct method {
  std::string name;          ///< one of method_names()
  std::string key;           ///< unique in a run: names checkpoints
  bool trained = true;       ///< false: no defense
  bool autoencoder = false;  ///< the encoder follows the denoiser, the decoder is in the black box
  bool white_box = false;    ///< exact gradients through the classifier: an upper bound
  zo::any_estimator<float> how{};  ///< of a query-only method
  std::int64_t step_queries = 0;   ///< per image and step, of the estimate alone
};

/// The method of that name under the settings; `pixels` is the dimension of an image.
method make_method(const std::string& name, const settings& s, std::int64_t pixels);

/// The three query-only methods at a budget of queries per image and step. CGE draws coordinates
/// when the budget is below 1 + latent, and takes central differences from 2 * latent on; a budget
/// it cannot use up has no CGE entry.
std::vector<method> methods_at_budget(std::int64_t budget, const settings& s, std::int64_t pixels);

/// The budgets of the sweep: those asked for, or 4, 8, 16 and 1, 2 and 4 times the latent size.
std::vector<std::int64_t> sweep_budgets(const settings& s);

}  // namespace defense
