// expect: on each line that says so
// Steps in place and directions, asked for as the rest of the library is.
#include <vector>

#include "zo/zo.hpp"

void run(std::vector<double>& x, const std::vector<double>& constant) {
  const zo::rge how;
  const zo::adam rule;
  const auto ends = zo::projected(rule, zo::box(0, 1));
  auto f = [](std::span<const double> at) { return at[0]; };
  const std::vector<std::span<double>> tensors{x};
  zo::in_place a(tensors, zo::cge(), rule);  // error: its estimator is zo::rge
  zo::in_place b(tensors, how, 0.1);         // error: takes a zo::optimizer_rule
  zo::in_place c(tensors, how, ends);        // error: needs zo::minimize
  zo::in_place steps(tensors, how, rule);
  steps(zo::seq, f);                                           // error: calls f.. or f.sample.
  steps([] { return 0.0; });                                   // error: steps.zo::seq, f
  zo::perturb(zo::seq, zo::gaussian{}, {}, x, 0.1, constant);  // error: must not be const
}
