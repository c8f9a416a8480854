// expect: on each line that says so
// Rules, updaters and the ends of steps that lack what they need, and the concept that says so.
#include <vector>

#include "zo/zo.hpp"

namespace elsewhere {
struct moves {
  template <class T>
  bool operator()(zo::index_t, T) const;
};
struct rule {
  int state_vectors() const { return 0; }
  template <class T>
  moves at(std::uint64_t, T*, T* const*) const;
};
struct no_element : rule {
  void at(int) const;
};
struct silent {
  void operator()(zo::index_t, double) const;
};
struct of_silence : rule {
  silent at(std::uint64_t, double*, double* const*) const;
};
struct odd_end : rule {
  void prox(std::vector<double>& x) const;
};
struct odd_check : rule {
  void check() const;
};
struct sealed final : rule {};
struct takes_vectors {
  void step(std::vector<double>& x, const std::vector<double>& gradient);
};
struct no_set {};
}  // namespace elsewhere

using namespace elsewhere;

void run(std::vector<double>& x) {
  auto f = [](std::span<const double> at) { return at[0]; };
  const zo::cge how;
  const zo::minimize_options budget{.max_queries = 100};
  zo::minimize(zo::seq, f, x, how, rule{}, budget);
  zo::minimize(zo::seq, f, x, how, takes_vectors{}, budget);  // error: zo::updater_for of your own
  auto a = zo::proximal(rule{}, zo::l1(1));                   // error: zo::rated_rule: zo::proximal
}
static_assert(zo::optimizer_rule<rule, double>);
static_assert(
    zo::optimizer_rule<no_element, double>);  // error: optimizer_rule: a rule makes its el
static_assert(
    zo::optimizer_rule<of_silence, double>);           // error: optimizer_rule: the element of a ru
static_assert(zo::optimizer_rule<odd_end, double>);    // error: optimizer_rule: prox is called as
static_assert(zo::optimizer_rule<odd_check, double>);  // error: optimizer_rule: check is called as
static_assert(zo::optimizer_rule<sealed, double>);     // error: optimizer_rule: a rule is a class,
static_assert(zo::updater_for<rule, double>);          // error: updater_for: an updater moves x by
