#include "method.hpp"

#include <algorithm>

namespace defense {

namespace {

method query_only(const std::string& name, bool autoencoder, const zo::estimator_options& how,
                  std::int64_t dimension) {
  method made;
  made.name = name;
  made.autoencoder = autoencoder;
  made.how = how;
  made.step_queries = made.how.queries(dimension);
  made.key =
      name + "-q" + std::to_string(made.step_queries) + (how.scheme == "central" ? "-central" : "");
  return made;
}

}  // namespace

zo::estimator_options make_rge(std::int64_t directions, double smoothing,
                               const std::string& distribution, const std::string& scheme) {
  return {.estimator = "rge",
          .distribution = distribution,
          .scheme = scheme,
          .directions = directions,
          .smoothing = smoothing};
}

zo::estimator_options make_cge(std::int64_t coordinates, std::int64_t dimension, double smoothing,
                               const std::string& scheme) {
  zo::estimator_options options{.estimator = "cge", .scheme = scheme, .smoothing = smoothing};
  if (coordinates < dimension) options.coordinates = zo::random_coordinates{coordinates};
  return options;
}

method make_method(const std::string& name, const settings& s, std::int64_t pixels) {
  const std::int64_t directions = s.directions.value_or(s.latent);
  if (name == "zo-ds" || name == "zo-ae-ds-rge") {
    const bool autoencoder = name == "zo-ae-ds-rge";
    return query_only(name, autoencoder,
                      make_rge(directions, s.smoothing, s.distribution, s.scheme),
                      autoencoder ? s.latent : pixels);
  }
  if (name == "zo-ae-ds-cge") {
    const std::int64_t coordinates = s.coordinates.value_or(s.latent);
    return query_only(name, true, make_cge(coordinates, s.latent, s.smoothing, s.scheme), s.latent);
  }
  method made;
  made.name = made.key = name;
  made.trained = name != "none";
  made.white_box = made.trained;
  made.autoencoder = name == "fo-ae-ds";
  return made;
}

std::vector<method> methods_at_budget(std::int64_t budget, const settings& s, std::int64_t pixels) {
  const auto rge = make_rge(budget - 1, s.smoothing, s.distribution, "forward");
  std::vector<method> made = {query_only("zo-ds", false, rge, pixels),
                              query_only("zo-ae-ds-rge", true, rge, s.latent)};
  if (budget == 2 * s.latent) {
    made.push_back(query_only("zo-ae-ds-cge", true,
                              make_cge(s.latent, s.latent, s.smoothing, "central"), s.latent));
  } else if (budget - 1 <= s.latent) {
    made.push_back(query_only("zo-ae-ds-cge", true,
                              make_cge(budget - 1, s.latent, s.smoothing, "forward"), s.latent));
  }
  return made;
}

std::vector<std::int64_t> sweep_budgets(const settings& s) {
  if (!s.budgets.empty()) return s.budgets;
  std::vector<std::int64_t> budgets = {4, 8, 16, 1 + s.latent, 2 * s.latent};
  std::ranges::sort(budgets);
  budgets.erase(std::unique(budgets.begin(), budgets.end()), budgets.end());
  return budgets;
}

}  // namespace defense
