#include "run.hpp"

#include <utility>

#include "zo/zo.hpp"

namespace cli {

namespace {

zo::failure_policy failures_of(const settings& how) {
  zo::failure_options made{.retries = how.retries, .penalty = how.penalty};
  made.then = how.failures == "stop"       ? zo::on_failure::stop
              : how.failures == "replace"  ? zo::on_failure::replace
              : how.failures == "penalise" ? zo::on_failure::penalise
                                           : zo::on_failure::drop;
  return made;
}

// The estimator between the bounds, and what makes the steps, to somebody who knows their types.
template <class Use>
auto with(const settings& how, const zo::space& space, const Use& use) {
  if (space.dimension() == 0)
    throw usage_error("all parameters are fixed: there is nothing to look for");
  zo::estimator_options of{.estimator = how.estimator,
                           .distribution = how.distribution,
                           .scheme = how.scheme,
                           .directions = how.directions > 0 ? how.directions : space.dimension(),
                           .failures = failures_of(how)};
  if (how.smoothing == "automatic") {
    of.smoothing = zo::automatic_smoothing{.start = 0.01, .largest = 0.1};
  } else {
    of.smoothing = number_of(how.smoothing, "--smoothing");
  }
  const zo::box bounds = space.bounds();
  const zo::inside inside(bounds, zo::any_estimator<double>(of));
  const std::string rule = how.rule_or_default();
  if (rule == "lbfgs") return use(inside, zo::lbfgs({.first_length = 0.1, .bounds = bounds}));
  if (rule == "sgd") return use(inside, zo::projected(zo::sgd({.rate = how.rate}), bounds));
  if (rule == "sign_sgd")
    return use(inside, zo::projected(zo::sign_sgd({.rate = how.rate}), bounds));
  return use(inside, zo::projected(zo::adam({.rate = how.rate}), bounds));
}

}  // namespace

zo::minimize_result minimize(const settings& how, const zo::space& space, const objective& f,
                             std::vector<double>& x, const zo::minimize_options& options,
                             int workers) {
  return with(how, space, [&](const auto& inside, auto&& rule) {
    return zo::minimize_async(space.objective(f), x, inside, rule, options, {.workers = workers});
  });
}

std::unique_ptr<zo::ask<double>> asked(const settings& how, const zo::space& space,
                                       const zo::minimize_options& options) {
  return with(how, space, [&](const auto& inside, auto&& rule) {
    return std::make_unique<zo::ask<double>>(space.start(), inside, rule, options);
  });
}

zo::journal_options log_options(const settings& how, const zo::space& space) {
  return {.settings = how.to_json().dump(),
          .values = [space](std::span<const double> x,
                            std::uint64_t step) { return space.values(x, step); },
          .longest_point = 1000};
}

zo::minimize_options options_of(const settings& how) {
  zo::minimize_options options{.max_queries = how.budget, .seed = how.seed};
  options.return_best = true;
  return options;
}

}  // namespace cli
