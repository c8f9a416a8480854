// The protocol between estimators, machines and runs, by an estimator that notes what is called.
#include "zo/machine.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;

// Asks f(x) and one candidate a round, `rounds` times: x moved by one along the first coordinate.
template <class M>
class noting_run {
 public:
  using T = typename M::value_type;
  noting_run(M& machine, std::string& notes, index_t rounds)
      : machine_(machine), notes_(notes), rounds_(rounds), kept_(machine.vector(3)) {
    notes_ += "start ";
  }
  void begin(const zo::row_problem<T>& problem, const zo::estimate_options& options) {
    notes_ += "begin" + std::to_string(options.step) + " ";
    machine_.open(problem, options, zo::on_failure::stop);
    machine_.clear_gradients();
    chosen_ = zo::detail::choose_coordinates(zo::coordinate_list{{0}}, problem.dimension, 0, 0);
    along_ = machine_.coordinates_of(chosen_, 1, 1.0, false);
    round_ = 0;
  }
  bool pose() {
    notes_ += "pose ";
    if (round_ > 0) {
      machine_.write_slopes(along_, 1, true, 1.0);
      kept_[0] += T(1);
    }
    if (round_ == rounds_) return false;
    machine_.pose(along_, 1, 1, round_++ == 0);
    return true;
  }
  void end() {
    notes_ += "end ";
    machine_.close(1, true, false, true);
  }
  std::vector<std::span<T>> state() { return {std::span<T>(kept_)}; }

 private:
  M& machine_;
  std::string& notes_;
  index_t rounds_;
  std::vector<T> kept_;
  typename M::coordinates along_;
  zo::detail::chosen_coordinates chosen_;
  index_t round_ = 0;
};

struct noting {
  static constexpr zo::asks asks = zo::asks::points;
  std::string* notes;
  index_t rounds = 1;
  index_t queries(index_t) const { return 1 + rounds; }
  template <class M>
  auto start(M& machine) const {
    return noting_run<M>(machine, *notes, rounds);
  }
};

static_assert(zo::estimate_run<noting_run<zo::machine<double>>, zo::machine<double>>);
static_assert(zo::estimator_on<noting, zo::machine<float>>);
static_assert(zo::estimator_for<noting, decltype(smooth_loss<float>), float>);
static_assert(!zo::estimator_on<zo::adam, zo::machine<float>>);
static_assert(!zo::estimator_for<noting, coordinate_form<float>, float>);
static_assert(zo::estimator_for<zo::cge<>, coordinate_form<float>, float>);

TEST(estimators, are_asked_round_by_round) {
  std::string notes;
  const std::vector<double> x{1, 2};
  std::vector<double> g(2, 7);
  std::vector<double> seen;
  auto f = [&](std::span<const double> v) {
    notes += "f ";
    return 3 * v[0];
  };
  const auto r = zo::estimate(zo::seq, f, x, g, noting{&notes, 2}, {.step = 5});
  EXPECT_EQ(notes, "start begin5 pose f f pose f pose end ");
  EXPECT_EQ(r.queries, 3);
  EXPECT_EQ(r.value, 3);
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(g, (std::vector<double>{3, 0}));
}

TEST(estimators, one_run_serves_all_estimates_of_a_run) {
  std::string notes;
  auto f = [](std::span<const double> v) { return 3 * v[0]; };
  std::vector<double> x{1, 2};
  zo::minimize(zo::seq, f, x, noting{&notes}, zo::sgd(), {.max_queries = 5, .first_step = 8});
  EXPECT_EQ(notes, "start begin8 pose pose end begin9 pose pose end ");
}

TEST(estimators, keep_their_state_in_the_machines_memory) {
  zo::workspace<float> memory;
  zo::detail::thread_count two{2};
  auto f = [](std::span<const float>) { return 0.0; };
  zo::detail::local_black_box<float, decltype(f), zo::detail::thread_count> box(
      two, f, memory.buffers().candidates, memory.buffers().rows);
  zo::machine<float> machine(&box, nullptr, memory);
  machine.begin({});
  std::vector<float> v = machine.vector(100'000);
  EXPECT_EQ(v, std::vector<float>(100'000, 0.0f));
  machine.each(100'000, [to = v.data()](index_t i) { to[i] += static_cast<float>(i); });
  for (std::size_t i = 0; i < v.size(); ++i) ASSERT_EQ(v[i], static_cast<float>(i));
  std::vector<float> w = machine.vector(3);
  machine.copy(v.data() + 5, 3, w.data());
  EXPECT_EQ(w, (std::vector<float>{5, 6, 7}));
}

// ---- values that are known

TEST(known_values, are_not_asked_again) {
  const auto x = ramp<double>(9);
  const double at_x = smooth_loss(std::span<const double>(x));
  const auto check = [&](const auto& how, index_t saved) {
    std::atomic<index_t> counted{0};
    std::vector<double> g(9), expected(9);
    const auto r = zo::estimate(zo::seq, scalar_form<double>{&counted}, x, expected, how);
    counted = 0;
    const std::vector<double> known{at_x};
    const auto told =
        zo::estimate(zo::seq, scalar_form<double>{&counted}, x, g, how, {.known_values = known});
    EXPECT_EQ(told.queries, counted);
    EXPECT_EQ(told.queries, r.queries - saved);
    EXPECT_EQ(told.value, r.value);
    EXPECT_TRUE(same_bits(g, expected));
  };
  check(zo::rge({.directions = 3}), 1);
  check(zo::rge({.directions = 5000}), 1);
  check(zo::rge({.directions = 3}, zo::sphere{}, zo::central{}), 0);
  check(zo::cge(), 1);
  check(zo::cge({}, zo::central{}), 0);
}

TEST(known_values, are_believed) {
  const std::vector<double> x{1, 2}, known{100};
  std::vector<double> g(2);
  auto f = [](std::span<const double> v) { return v[0]; };
  const auto r =
      zo::estimate(zo::seq, f, x, g, zo::cge({.smoothing = 0.5}), {.known_values = known});
  EXPECT_EQ(r.value, 100);
  EXPECT_EQ(g, (std::vector<double>{(1.5 - 100) / 0.5, (1 - 100) / 0.5}));
  const std::vector<double> bad{not_a_number};
  EXPECT_FALSE(zo::estimate(zo::seq, f, x, g, zo::cge(), {.known_values = bad}).ok);
}

TEST(known_values, are_one_a_row) {
  const std::vector<double> x{1, 2, 3, 4}, known{3, 7, 11};
  std::vector<double> g(4);
  auto f = [](std::span<const double> v) { return v[0] + v[1]; };
  EXPECT_EQ(complaint([&] { zo::estimate(zo::seq, f, x, g, zo::cge(), {.known_values = known}); }),
            "zo::estimate: known_values must be empty or have 1 numbers, one a row, got 3");
  auto rows = [](std::span<const double> v, index_t) { return v[0] + v[1]; };
  const zo::points<double> z{x, 2, 2};
  EXPECT_EQ(complaint([&] { zo::boundary(zo::seq, rows, z, zo::cge(), {.known_values = known}); }),
            "zo::boundary: known_values must be empty or have 2 numbers, one a row, got 3");
  const auto r =
      zo::boundary(zo::seq, rows, z, zo::cge(), {.known_values = std::span(known).first(2)});
  EXPECT_EQ(r.queries, 4);
  EXPECT_EQ(r.losses, (std::vector<double>{3, 7}));
}

}  // namespace
