// What estimates ask of objectives: x untouched, queries counted, one sample, memory, overlaps.
#include "zo/objective.hpp"

#include <array>
#include <set>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::forward;
using zo::index_t;
using zo::rge;

template <class T, class Use>
void for_each_estimator(const Use& use) {
  use(rge({.directions = 5}));
  use(rge({.directions = 5}, zo::gaussian{}, central{}));
  use(rge({.directions = 3}, zo::rademacher{}));
  use(rge({.directions = 3}, zo::sphere{}, central{}));
  use(cge());
  use(cge({}, central{}));
  use(cge({.coordinates = zo::coordinate_list{{2, 0}}}));
  use(cge({.coordinates = zo::random_coordinates{3}}, central{}));
}

template <class Use>
void for_each_policy(const Use& use) {
  use(zo::seq);
  use(zo::par);
  use(zo::par.with_threads(1));
  use(zo::par.with_threads(3));
}

// ---- queries

// Known fault elsewhere: "NOMAD, nevergrad: budget overrun": reported = counted by the objective
// itself.
template <class T, template <class> class Form>
void check_queries() {
  const auto x = ramp<T>(37);
  for_each_estimator<T>([&](const auto& how) {
    for_each_policy([&](const auto& policy) {
      for (const index_t chunk_bytes : {1, 1000, 1 << 20}) {
        std::atomic<index_t> counted{0};
        Form<T> f{&counted};
        std::vector<T> g(x.size());
        const auto r = zo::estimate(policy, f, x, g, how, {.chunk_bytes = chunk_bytes});
        EXPECT_TRUE(r.ok);
        EXPECT_EQ(r.queries, counted);
        EXPECT_EQ(r.queries, how.queries(37));
        EXPECT_EQ(r.failed, 0);
      }
    });
  });
}

TEST(queries, are_those_the_objective_counted_and_those_announced) {
  check_queries<double, scalar_form>();
  check_queries<float, scalar_form>();
  check_queries<double, sampled_form>();
  check_queries<double, batch_form>();
  check_queries<float, batch_form>();
  check_queries<double, sampled_batch_form>();
}

TEST(queries, are_counted_for_rowwise_objectives) {
  const auto z = ramp<double>(4 * 37);
  for_each_estimator<double>([&](const auto& how) {
    for_each_policy([&](const auto& policy) {
      std::atomic<index_t> counted{0};
      const auto r =
          zo::boundary(policy, rowwise_form<double>{&counted}, zo::points<double>{z, 4, 37}, how);
      EXPECT_EQ(r.queries, counted);
      EXPECT_EQ(r.queries, 4 * how.queries(37));
    });
  });
}

TEST(queries, announced_costs_are_the_documented_ones) {
  EXPECT_EQ(rge({.directions = 7}).queries(100), 8);
  EXPECT_EQ(rge({.directions = 7}, zo::sphere{}, central{}).queries(100), 14);
  EXPECT_EQ(cge().queries(100), 101);
  EXPECT_EQ(cge({}, central{}).queries(100), 200);
  EXPECT_EQ(cge({.coordinates = zo::random_coordinates{5}}).queries(100), 6);
  EXPECT_EQ(cge({.coordinates = zo::coordinate_list{{1, 2}}}, central{}).queries(100), 4);
}

// ---- every form of an objective gives the same estimate

template <class T>
void check_forms_agree() {
  const auto x = ramp<T>(37);
  for_each_estimator<T>([&](const auto& how) {
    std::atomic<index_t> counted{0};
    const auto ask = [&](auto f) {
      std::vector<T> g(x.size());
      zo::estimate(zo::seq, f, x, g, how, {.seed = 4, .step = 2});
      return g;
    };
    const auto expected = ask(scalar_form<T>{&counted});
    EXPECT_TRUE(same_bits(ask(sampled_form<T>{&counted}), expected));
    EXPECT_TRUE(same_bits(ask(batch_form<T>{&counted}), expected));
    EXPECT_TRUE(same_bits(ask(sampled_batch_form<T>{&counted}), expected));
  });
}

TEST(objectives, every_form_gives_the_same_bits) {
  check_forms_agree<float>();
  check_forms_agree<double>();
}

TEST(objectives, may_be_const_and_may_be_temporaries) {
  std::atomic<index_t> counted{0};
  const scalar_form<double> f{&counted};
  const std::array<double, 3> x{1, 2, 3};
  std::array<double, 3> g{};
  EXPECT_TRUE(zo::estimate(zo::seq, f, x, g, rge()).ok);
  EXPECT_TRUE(zo::estimate(zo::seq, scalar_form<double>{&counted}, x, std::span(g), cge()).ok);
  EXPECT_EQ(counted, 2 + 4);
}

TEST(objectives, may_answer_float_or_int) {
  const std::vector<double> x{1, 2};
  std::vector<double> g(2);
  auto narrow = [](std::span<const double> v) { return static_cast<float>(v[0] - v[1]); };
  auto whole = [](std::span<const double> v) { return v[0] > 1.25 ? 1 : 0; };
  zo::estimate(zo::seq, narrow, x, g, cge({.smoothing = 0.5}));
  EXPECT_EQ(g, (std::vector<double>{1, -1}));
  zo::estimate(zo::seq, whole, x, g, cge({.smoothing = 0.5}));
  EXPECT_EQ(g, (std::vector<double>{2, 0}));
}

// ---- one sample for all queries of an estimate

template <class Form>
std::multiset<zo::sample_id> samples_of(zo::estimate_options place) {
  const auto x = ramp<double>(5);
  std::vector<double> g(5);
  std::multiset<zo::sample_id> seen;
  for_each_estimator<double>([&](const auto& how) {
    Form f{&seen};
    zo::estimate(zo::seq, f, x, g, how, place);
  });
  return seen;
}

struct sample_recorder {
  std::multiset<zo::sample_id>* seen;
  double operator()(std::span<const double> x, zo::sample_id sample) const {
    seen->insert(sample);
    return x[0];
  }
};
struct batch_sample_recorder {
  std::multiset<zo::sample_id>* seen;
  void operator()(zo::points<double> at, std::span<double> losses, zo::sample_id sample) const {
    seen->insert(sample);
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = at[k][0];
  }
};
struct probe_sample_recorder {
  std::multiset<zo::sample_id>* seen;
  double operator()(std::span<const double> x, zo::sample_id sample) const {
    seen->insert(sample);
    return x[0];
  }
  double prepare(std::span<const double> x, zo::sample_id sample) const {
    seen->insert(sample);
    return x[0];
  }
  void probe(std::span<const index_t>, std::span<const double>,
             std::span<double> differences) const {
    std::ranges::fill(differences, 1.0);
  }
};

template <class Form>
void check_samples() {
  const auto all_are = [](const std::multiset<zo::sample_id>& seen, zo::sample_id expected) {
    return seen.size() > 4 && seen.count(expected) == seen.size();
  };
  EXPECT_TRUE(all_are(samples_of<Form>({.seed = 1, .step = 77}), 77)) << "unset: the step";
  EXPECT_TRUE(all_are(samples_of<Form>({.seed = 1, .step = 77, .sample = 5}), 5));
  EXPECT_TRUE(all_are(samples_of<Form>({.seed = 1, .step = 77, .sample = 0}), 0)) << "0 is a name";
}

TEST(samples, all_queries_of_an_estimate_get_the_same_one) {
  check_samples<sample_recorder>();
  check_samples<batch_sample_recorder>();
  check_samples<probe_sample_recorder>();
}

// With common noise a difference is exact however large the noise.
TEST(samples, common_noise_cancels) {
  auto noisy = [](std::span<const double> x, zo::sample_id sample) {
    return x[0] + 1024.0 * static_cast<double>(sample * 2654435761u % 1000);
  };
  const std::vector<double> x{0.5, 0.25};
  std::vector<double> g(2);
  for (std::uint64_t step = 0; step < 10; ++step) {
    zo::estimate(zo::seq, noisy, x, g, cge({.smoothing = 0.125}), {.step = step});
    EXPECT_EQ(g, (std::vector<double>{1, 0}));
  }
}

// ---- x is never written

// Known fault elsewhere: "MeZO#42, ZO-LLM#13, DeepZero, ensmallen SPSA: x not restored". -0.0,
// denormals and NaN patterns must survive too, and so must x when query n throws.
template <class T, class F>
void check_x_untouched(F make, zo::on_failure failures) {
  std::vector<T> x = ramp<T>(33);
  x[1] = T(-0.0);
  x[2] = std::numeric_limits<T>::denorm_min();
  const std::vector<T> before = x;
  const auto run = [&](const auto& how) {
    for_each_policy([&](const auto& policy) {
      for (const int last_good : {0, 1, 2, 4, 1000}) {
        auto f = make(last_good);
        std::vector<T> g(x.size());
        try {
          zo::estimate(policy, f, x, g, how, {.chunk_bytes = 600});
        } catch (const std::runtime_error&) {
          EXPECT_EQ(failures, zo::on_failure::stop);
        }
        EXPECT_TRUE(same_bits(x, before));
      }
    });
  };
  run(rge({.directions = 4, .failures = failures}));
  run(rge({.directions = 4, .failures = failures}, zo::sphere{}, central{}));
  run(rge({.directions = 4, .failures = failures}, zo::rademacher{}, central{}));
  run(cge({.failures = failures}));
  run(cge({.failures = failures}, central{}));
  run(cge({.coordinates = zo::random_coordinates{3}, .failures = failures}));
}

template <class T>
struct throwing_scalar {
  std::shared_ptr<std::atomic<int>> left;
  double operator()(std::span<const T> x) const {
    if (left->fetch_sub(1) <= 0) throw std::runtime_error("the oracle is gone");
    return smooth_loss(x);
  }
};
template <class T>
struct throwing_batch {
  std::shared_ptr<std::atomic<int>> left;
  void operator()(zo::points<T> at, std::span<double> losses) const {
    for (index_t k = 0; k < at.count; ++k) {
      if (left->fetch_sub(1) <= 0) throw std::runtime_error("the oracle is gone");
      losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
    }
  }
};

template <class T, template <class> class Form>
auto thrower() {
  return [](int last_good) { return Form<T>{std::make_shared<std::atomic<int>>(last_good)}; };
}

TEST(x, is_untouched_also_when_a_query_throws) {
  for (const auto failures : {zo::on_failure::stop, zo::on_failure::drop}) {
    check_x_untouched<float>(thrower<float, throwing_scalar>(), failures);
    check_x_untouched<double>(thrower<double, throwing_scalar>(), failures);
    check_x_untouched<double>(thrower<double, throwing_batch>(), failures);
  }
}

TEST(x, is_untouched_under_a_rowwise_objective_that_throws) {
  std::vector<double> z = ramp<double>(5 * 7);
  const auto before = z;
  for (const int last_good : {0, 3, 5, 9}) {
    int left = last_good;
    auto f = [&](zo::points<double> at, std::span<const index_t>, std::span<double> losses) {
      for (index_t k = 0; k < at.count; ++k) {
        if (left-- <= 0) throw std::runtime_error("the oracle is gone");
        losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
      }
    };
    EXPECT_THROW(zo::boundary(zo::par, f, zo::points<double>{z, 5, 7}, rge()), std::runtime_error);
    EXPECT_TRUE(same_bits(z, before));
  }
}

TEST(x, must_not_overlap_the_gradient_and_must_have_its_size) {
  std::vector<double> both(10, 1.0), other(4);
  auto f = [](std::span<const double> v) { return v[0]; };
  const std::span<double> all(both);
  const auto said = [&](std::span<const double> x, std::span<double> g) {
    return complaint([&] { zo::estimate(zo::seq, f, x, g, rge()); });
  };
  EXPECT_TRUE(contains(said(all.first(5), all.first(5)), "gradient must not overlap x"));
  EXPECT_TRUE(contains(said(all.first(5), all.subspan(4, 5)), "must not overlap"));
  EXPECT_TRUE(contains(said(all.subspan(4, 5), all.first(5)), "must not overlap"));
  EXPECT_EQ(said(all.first(5), all.last(5)), "");
  EXPECT_TRUE(contains(said(all.first(5), other), "got 4 and 5"));
  EXPECT_TRUE(contains(said({}, {}), "no coordinates"));
  EXPECT_EQ(both,
            std::vector<double>({1, 1, 1, 1, 1, both[5], both[6], both[7], both[8], both[9]}));
}

// ---- chunks

TEST(chunks, hold_at_most_chunk_bytes_and_at_least_one_candidate) {
  const auto x = ramp<float>(50);  // 200 bytes a candidate
  std::vector<float> g(50);
  for (const auto& [bytes, most] : {std::pair<index_t, index_t>{1, 1},
                                    {199, 1},
                                    {399, 1},
                                    {400, 2},
                                    {1000, 5},
                                    {1 << 20, 17}}) {  // f(x) among them
    for_each_policy([&, bytes = bytes, most = most](const auto& policy) {
      index_t largest = 0;
      auto f = [&](zo::points<float> at, std::span<double> losses) {
        EXPECT_EQ(at.dimension, 50);
        EXPECT_EQ(at.data.size(), static_cast<std::size_t>(at.count * 50));
        EXPECT_EQ(losses.size(), static_cast<std::size_t>(at.count));
        largest = std::max(largest, at.count);
        for (index_t k = 0; k < at.count; ++k) {
          losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
        }
      };
      zo::estimate(policy, f, x, g, rge({.directions = 16}), {.chunk_bytes = bytes});
      EXPECT_EQ(largest, most) << bytes;
      largest = 0;
      zo::estimate(policy, f, x, g, cge({}, central{}), {.chunk_bytes = bytes});
      EXPECT_LE(largest, std::max<index_t>(1, bytes / 200)) << bytes;
    });
  }
}

// ---- memory

TEST(memory, that_is_not_there_or_lies_askew_is_refused) {
  alignas(8) std::array<char, 64> bytes{};
  std::vector<double> good(3, 1.0);
  auto f = [](std::span<const double>) -> double { throw std::logic_error("asked"); };
  const auto at = [&](std::size_t shift) {
    return std::span<double>(reinterpret_cast<double*>(bytes.data() + shift), 3);
  };
  const std::span<double> nowhere(static_cast<double*>(nullptr), 3);
  const auto estimated = [&](std::span<double> x, std::span<double> g) {
    return complaint([&] { zo::estimate(zo::seq, f, x, g, zo::rge()); });
  };
  EXPECT_TRUE(contains(estimated(at(4), good), "x must lie at a multiple of 8 bytes"));
  EXPECT_TRUE(contains(estimated(good, at(1)), "gradient must lie at a multiple of 8 bytes"));
  EXPECT_TRUE(contains(estimated(nowhere, good), "x is a null pointer"));
  EXPECT_TRUE(contains(estimated(good, nowhere), "gradient is a null pointer"));
  const auto minimized = [&](std::span<double> x) {
    return complaint(
        [&] { zo::minimize(zo::seq, f, x, zo::rge(), zo::sgd(), {.max_queries = 1}); });
  };
  EXPECT_TRUE(contains(minimized(at(2)), "x must lie at a multiple of 8 bytes"));
  EXPECT_TRUE(contains(minimized(nowhere), "x is a null pointer"));
  EXPECT_TRUE(contains(complaint([&] { zo::fill_direction(zo::gaussian{}, {}, at(4)); }),
                       "out must lie at a multiple of 8 bytes"));
}

double plain_loss(std::span<const double> v) { return smooth_loss(v); }

// Two estimates at once in one workspace would write into each other's candidates.
TEST(workspaces, that_another_estimate_uses_are_refused) {
  zo::workspace<double> memory;
  const auto x = ramp<double>(4);
  std::vector<double> g(4), inner(4);
  const zo::rge how({.directions = 3});
  std::string said;
  auto f = [&](std::span<const double> v) {
    said = complaint([&] { zo::estimate(zo::seq, plain_loss, v, inner, how, {}, memory); });
    return plain_loss(v);
  };
  EXPECT_TRUE(zo::estimate(zo::seq, f, x, g, how, {}, memory).ok);
  EXPECT_TRUE(contains(said, "zo::estimate: another estimate is using this workspace")) << said;
  std::vector<double> expected(4);
  zo::estimate(zo::seq, plain_loss, x, expected, how);
  EXPECT_TRUE(same_bits(g, expected));
  auto fails = [](std::span<const double>) -> double { throw std::runtime_error("no"); };
  EXPECT_THROW(zo::estimate(zo::seq, fails, x, g, how, {}, memory), std::runtime_error);
  EXPECT_TRUE(zo::estimate(zo::seq, plain_loss, x, g, how, {}, memory).ok) << "given back";
  zo::workspace<double> other(memory), moved(std::move(memory));
  EXPECT_TRUE(zo::estimate(zo::seq, plain_loss, x, g, how, {}, moved).ok);
}

TEST(chunks, of_no_bytes_are_refused) {
  const auto x = ramp<float>(5);
  std::vector<float> g(5);
  std::atomic<index_t> n{0};
  for (const index_t bytes : {0, -1}) {
    const auto said = complaint(
        [&] { zo::estimate(zo::seq, batch_form<float>{&n}, x, g, rge(), {.chunk_bytes = bytes}); });
    EXPECT_TRUE(contains(said, "chunk_bytes must be at least 1")) << said;
  }
}

TEST(workspace, never_changes_a_result) {
  std::atomic<index_t> n{0};
  zo::workspace<double> memory;
  for (const index_t d : {100, 3, 2049, 7}) {
    const auto x = ramp<double>(d);
    for_each_estimator<double>([&](const auto& how) {
      std::vector<double> fresh(x.size()), kept(x.size());
      zo::estimate(zo::par, scalar_form<double>{&n}, x, fresh, how, {.step = 3});
      zo::estimate(zo::par, scalar_form<double>{&n}, x, kept, how, {.step = 3}, memory);
      EXPECT_TRUE(same_bits(fresh, kept));
      zo::estimate(zo::par, batch_form<double>{&n}, x, kept, how, {.step = 3}, memory);
      EXPECT_TRUE(same_bits(fresh, kept));
    });
  }
}

}  // namespace
