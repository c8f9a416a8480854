#include "method.hpp"

#include <algorithm>
#include <type_traits>

namespace defense {

namespace {

template <class Scheme>
estimator rge_with(const zo::rge_options& options, const std::string& distribution, Scheme scheme) {
  if (distribution == "gaussian") return zo::rge(options, zo::gaussian{}, scheme);
  if (distribution == "rademacher") return zo::rge(options, zo::rademacher{}, scheme);
  return zo::rge(options, zo::sphere{}, scheme);
}

bool is_central(const estimator& how) {
  return std::visit(
      [](const auto& one) {
        using scheme = typename std::remove_cvref_t<decltype(one)>::scheme_type;
        return std::is_same_v<scheme, zo::central>;
      },
      how);
}

method query_only(const std::string& name, bool autoencoder, const estimator& how,
                  std::int64_t dimension) {
  method made;
  made.name = name;
  made.autoencoder = autoencoder;
  made.how = how;
  made.step_queries = queries_of(how, dimension);
  made.key = name + "-q" + std::to_string(made.step_queries) + (is_central(how) ? "-central" : "");
  return made;
}

}  // namespace

estimator make_rge(std::int64_t directions, double smoothing, const std::string& distribution,
                   const std::string& scheme) {
  const zo::rge_options options{.directions = directions, .smoothing = smoothing};
  if (scheme == "central") return rge_with(options, distribution, zo::central{});
  return rge_with(options, distribution, zo::forward{});
}

estimator make_cge(std::int64_t coordinates, std::int64_t dimension, double smoothing,
                   const std::string& scheme) {
  zo::cge_options options{.smoothing = smoothing};
  if (coordinates < dimension) options.coordinates = zo::random_coordinates{coordinates};
  if (scheme == "central") return zo::cge(options, zo::central{});
  return zo::cge(options, zo::forward{});
}

std::int64_t queries_of(const estimator& how, std::int64_t dimension) {
  return std::visit([&](const auto& one) { return one.queries(dimension); }, how);
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
