// Estimators chosen at run time: the bits of those chosen by type, and sentences for what is none.
#include "zo/any_estimator.hpp"

#include "open/laws.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::any_estimator;
using zo::estimator_options;
using zo::index_t;

template <class T>
std::vector<T> gradient_of(const auto& how, auto&& f, zo::estimate_result* result = nullptr) {
  const auto x = ramp<T>(23);
  std::vector<T> g(x.size());
  const auto found = zo::estimate(zo::seq, f, x, g, how, {.seed = 3, .step = 9});
  EXPECT_TRUE(found.ok);
  EXPECT_EQ(found.queries, how.queries(23));
  if (result != nullptr) *result = found;
  return g;
}

template <class T, class How>
void expect_same(const estimator_options& options, const How& how) {
  std::atomic<index_t> count{0};
  const any_estimator<T> named(options), held(how);
  zo::estimate_result by_type, by_name;
  const auto expected = gradient_of<T>(how, scalar_form<T>{&count}, &by_type);
  EXPECT_TRUE(same_bits(gradient_of<T>(named, scalar_form<T>{&count}, &by_name), expected));
  EXPECT_EQ(by_name.value, by_type.value);
  EXPECT_TRUE(same_bits(gradient_of<T>(held, batch_form<T>{&count}), expected));
  EXPECT_TRUE(same_bits(gradient_of<T>(any_estimator<T>(named), scalar_form<T>{&count}), expected));
  EXPECT_EQ(named.failures(), how.options().failures);
  auto x = ramp<T>(23), y = x;
  const zo::minimize_options run{.max_queries = 200, .target = -1e9};
  const auto a = zo::minimize(zo::seq, smooth_loss<T>, x, how, zo::adam(), run);
  const auto b = zo::minimize(zo::par, smooth_loss<T>, y, named, zo::adam(), run);
  EXPECT_TRUE(same_bits(x, y));
  EXPECT_EQ(a.queries, b.queries) << "it knows too whether f(x) is asked apart";
  EXPECT_EQ(a.value, b.value);
}

template <class T>
void check_every_name() {
  const auto drop = zo::on_failure::drop;
  const auto with = [&]<class S>(const char* scheme, S s) {
    const zo::rge_options random{.directions = 5, .smoothing = 1e-2, .failures = drop};
    estimator_options named{.scheme = scheme, .directions = 5, .smoothing = 1e-2, .failures = drop};
    expect_same<T>(named, zo::rge(random, zo::gaussian{}, s));
    named.distribution = "rademacher";
    expect_same<T>(named, zo::rge(random, zo::rademacher{}, s));
    named.distribution = "sphere";
    expect_same<T>(named, zo::rge(random, zo::sphere{}, s));
    named.estimator = "cge";
    named.relative = true;
    named.coordinates = zo::random_coordinates{6};
    expect_same<T>(named, zo::cge({1e-2, true, zo::random_coordinates{6}, drop}, s));
  };
  with("forward", zo::forward{});
  with("central", zo::central{});
}

TEST(any_estimator, has_the_bits_of_the_type) {
  check_every_name<float>();
  check_every_name<double>();
}

TEST(any_estimator, without_options_is_rge) {
  std::atomic<index_t> count{0};
  EXPECT_TRUE(same_bits(gradient_of<double>(any_estimator<double>(), scalar_form<double>{&count}),
                        gradient_of<double>(zo::rge(), scalar_form<double>{&count})));
}

TEST(any_estimator, holds_those_without_a_name) {
  std::atomic<index_t> count{0};
  const zo::rge own({.directions = 4}, elsewhere::cube{}, zo::central{});
  EXPECT_TRUE(
      same_bits(gradient_of<double>(any_estimator<double>(own), scalar_form<double>{&count}),
                gradient_of<double>(own, scalar_form<double>{&count})));
}

TEST(any_estimator, asks_probes_where_it_can) {
  std::atomic<index_t> probed{0}, pointed{0};
  coordinate_form<double> f{&probed}, g{&pointed};
  EXPECT_TRUE(same_bits(
      gradient_of<double>(any_estimator<double>(estimator_options{.estimator = "cge"}), f),
      gradient_of<double>(zo::cge(), g)));
  EXPECT_EQ(probed, pointed);
  EXPECT_TRUE(contains(complaint([&] { gradient_of<double>(any_estimator<double>(), f); }),
                       "zo: this estimator asks whole points, and the objective answers"));
}

TEST(any_estimator, serves_rows) {
  const auto z = ramp<float>(3 * 5);
  std::atomic<index_t> count{0};
  const zo::points<float> at{z, 3, 5};
  const zo::rge how({.directions = 3}, zo::sphere{});
  const auto expected = zo::boundary(zo::seq, rowwise_form<float>{&count}, at, how);
  const auto found =
      zo::boundary(zo::seq, rowwise_form<float>{&count}, at, any_estimator<float>(how));
  EXPECT_TRUE(same_bits(found.gradients, expected.gradients));
}

TEST(any_estimator, unknown_names_are_refused_with_those_that_are_known) {
  const auto said = [](const estimator_options& options) {
    return complaint([&] { any_estimator<double>{options}; });
  };
  EXPECT_EQ(said({.estimator = "RGE"}), "zo::any_estimator: estimator must be rge or cge, got RGE");
  EXPECT_EQ(said({.distribution = "normal"}),
            "zo::any_estimator: distribution must be gaussian, rademacher or sphere, got normal");
  EXPECT_EQ(said({.scheme = ""}), "zo::any_estimator: scheme must be forward or central, got ");
  EXPECT_TRUE(contains(said({.directions = 0}), "zo::rge: directions must be at least 1"));
  EXPECT_TRUE(contains(said({.estimator = "cge", .smoothing = -1}), "zo::cge: smoothing"));
  EXPECT_TRUE(contains(complaint([] {
                         gradient_of<float>(
                             any_estimator<float>(estimator_options{.smoothing = 1e-60}),
                             smooth_loss<float>);
                       }),
                       "zero or infinite in this scalar type"));
}

TEST(any_estimator, tells_processes_what_makes_it_differ) {
  std::vector<std::uint64_t> prints;
  const auto print_of = [](const auto& how) {
    zo::detail::fingerprint print;
    zo::detail::describe(how, print);
    return print.value();
  };
  for (const estimator_options& options :
       {estimator_options{}, estimator_options{.distribution = "sphere"},
        estimator_options{.scheme = "central"}, estimator_options{.directions = 2},
        estimator_options{.smoothing = 1}, estimator_options{.failures = zo::on_failure::drop},
        estimator_options{.estimator = "cge"},
        estimator_options{.estimator = "cge", .relative = true},
        estimator_options{.estimator = "cge", .coordinates = zo::random_coordinates{1}}}) {
    prints.push_back(print_of(any_estimator<double>(options)));
  }
  EXPECT_EQ(print_of(any_estimator<double>()), prints[0]);
  std::ranges::sort(prints);
  EXPECT_EQ(std::ranges::adjacent_find(prints), prints.end());
}

}  // namespace
