// A network as an objective: what it is asked in the wrong order or of the wrong size, whole points
// from several threads, and what it keeps.
#include "zo/nn/objective.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;

constexpr index_t huge = std::numeric_limits<index_t>::max();

void expect_says(const std::string& part, const auto& call) {
  const std::string text = complaint(call);
  EXPECT_TRUE(contains(text, part)) << "wanted: " << part << "\ngot: " << text;
}

// A batch of two samples for a network of 2 inputs and 3 classes, to be spoiled.
nn::minibatch<double> two_samples() {
  return {{0.5, -1, 2, 0.25}, 2, nn::cross_entropy(std::vector<index_t>{0, 2}, 3)};
}

struct small {
  nn::network net = nn::mlp({2, 3});
  std::vector<double> parameters = ramp<double>(net.parameter_count());

  nn::objective<double> of(const nn::minibatch<double>& batch,
                           const nn::objective_options& options = {}) const {
    return {net, [batch](zo::sample_id) { return batch; }, {}, options};
  }
};

TEST(nn_objective, refuses_batches_that_do_not_fit) {
  const small s;
  const auto refuses = [&](const std::string& part, const auto& spoil) {
    auto batch = two_samples();
    spoil(batch);
    auto f = s.of(batch);
    expect_says(part, [&] { f.prepare(zo::seq, s.parameters, 0); });
    expect_says(part, [&] { std::as_const(f)(s.parameters, 0); });
    expect_says("prepare comes before probes", [&] { f.probe(zo::seq, {}, {}, {}); });
  };
  refuses("a batch needs at least one sample, got 0", [](auto& b) { b.count = 0; });
  refuses("a batch needs at least one sample, got -1", [](auto& b) { b.count = -1; });
  refuses("3 samples, and its loss 2", [](auto& b) { b.count = 3; });
  refuses("2 samples of 2 x 1 x 1 need 4 numbers, got 3", [](auto& b) { b.inputs.pop_back(); });
  refuses("2 samples of 2 x 1 x 1 need 4 numbers, got 0", [](auto& b) { b.inputs.clear(); });
  refuses("the batch has 2 samples, and its loss 3", [](auto& b) {
    b.loss = nn::cross_entropy(std::vector<index_t>{0, 1, 0}, 2);
  });
  refuses("2 samples of 4 classes need 8 logits, got 6", [](auto& b) {
    b.loss = nn::cross_entropy(std::vector<index_t>{0, 1}, 4);
  });
}

// As many numbers and another number of samples: the mean would be over the wrong one.
TEST(nn_objective, a_loss_of_other_samples_is_refused) {
  const small s;
  auto batch = two_samples();
  batch.loss = nn::cross_entropy(std::vector<index_t>{0, 1, 0, 1, 1, 0}, 1 + 1);
  auto f = s.of(batch);
  expect_says("the batch has 2 samples, and its loss 6",
              [&] { f.prepare(zo::seq, s.parameters, 0); });
}

TEST(nn_objective, bad_options_and_questions_are_named) {
  const small s;
  const auto batch = two_samples();
  for (const index_t bytes : {index_t{0}, index_t{-1}, -huge}) {
    expect_says("max_bytes must be at least 1, got", [&] { s.of(batch, {.max_bytes = bytes}); });
  }
  expect_says("there is no function that makes batches",
              [&] { nn::objective<double>(s.net, nullptr, {}); });
  expect_says("products in bfloat16 are for networks of float",
              [&] { s.of(batch, {.products = nn::products::bfloat16}); });
  const std::vector<double> three(3);
  expect_says("the network has 0 statistics, got 3", [&] {
    nn::objective<double>(
        s.net, [&](zo::sample_id) { return batch; }, three);
  });
  for (const index_t bytes : {index_t{1}, index_t{100}}) {
    auto f = s.of(batch, {.max_bytes = bytes});
    expect_says("2 samples need", [&] { f.prepare(zo::seq, s.parameters, 0); });
    expect_says("2 samples need", [&] { std::as_const(f)(s.parameters, 0); });
  }
  auto f = s.of(batch);
  index_t coordinate = 0;
  double step = 1e-3, found = 0;
  expect_says("prepare comes before probes", [&] {
    f.probe(zo::seq, {&coordinate, 1}, {&step, 1}, {&found, 1});
  });
  expect_says("there are no values before run", [&] { f.pass().outputs(); });
  expect_says("the network has 9 parameters, got 3", [&] { f.prepare(zo::seq, three, 0); });
  expect_says("prepare comes before probes", [&] {
    f.probe(zo::seq, {&coordinate, 1}, {&step, 1}, {&found, 1});
  });
  f.prepare(zo::seq, s.parameters, 0);
  expect_says("1 probes need as many steps and differences, got 0 and 1", [&] {
    f.probe(zo::seq, {&coordinate, 1}, {}, {&found, 1});
  });
  expect_says("got 1 and 0", [&] { f.probe(zo::seq, {&coordinate, 1}, {&step, 1}, {}); });
  for (const index_t off : {index_t{-1}, index_t{9}, huge, -huge}) {
    expect_says("is not in 0 … 8", [&] { f.probe(zo::seq, {&off, 1}, {&step, 1}, {&found, 1}); });
    expect_says("is not in 0 … 8", [&] { f.cost(off); });
  }
  // A refused question leaves the next one as it was.
  double before = 0;
  f.probe(zo::seq, {&coordinate, 1}, {&step, 1}, {&before, 1});
  const std::vector<double> twice{before};
  f.probe(zo::seq, {&coordinate, 1}, {&step, 1}, {&found, 1});
  EXPECT_EQ(found, twice[0]);
  EXPECT_NE(found, 0);
}

// More threads than there are: the estimate is the same, and there are no more workers than asked
// coordinates.
TEST(nn_objective, any_number_of_threads_is_served) {
  const small s;
  std::vector<double> one(9), many(9);
  auto f = s.of(two_samples());
  zo::estimate(zo::seq, f, s.parameters, one, zo::cge());
  const auto all = zo::par.with_threads(std::numeric_limits<int>::max());
  zo::estimate(all, f, s.parameters, many, zo::cge());
  EXPECT_TRUE(same_bits(one, many));
}

// Where probes meet: how many are made at the same time.
struct meeting {
  std::mutex mutex;
  std::condition_variable changed;
  std::chrono::milliseconds patience{};
  int inside = 0, at_most = 0;
  // Waits for two others, so that none is missed for being quick.
  void attend() {
    std::unique_lock lock(mutex);
    at_most = std::max(at_most, ++inside);
    changed.notify_all();
    if (!changed.wait_for(lock, patience, [&] { return at_most >= 3; })) patience = {};
    --inside;
  }
};
struct meeting_loss {
  std::shared_ptr<meeting> place;
  template <class T>
  double prepare(std::span<const T>) const {
    return 1;
  }
  template <class T>
  double difference(const T*) const {
    place->attend();
    return 0;
  }
};

int probes_at_a_time(const auto& policy, std::chrono::milliseconds patience, index_t max_bytes) {
  const small s;
  const auto place = std::make_shared<meeting>();
  place->patience = patience;
  nn::objective<double, meeting_loss> f(
      s.net,
      [&](zo::sample_id) {
        return nn::minibatch<double, meeting_loss>{{0.5, -1, 2, 0.25}, 2, {place}};
      },
      {}, {.max_bytes = max_bytes});
  std::vector<double> g(9);
  EXPECT_TRUE(zo::estimate(policy, f, s.parameters, g, zo::cge()).ok);
  return place->at_most;
}

TEST(nn_objective, each_thread_of_the_policy_has_a_probe_that_fits) {
  const small s;
  const index_t pass = nn::pass_bytes<double>(s.net, 2, nn::products::exact);
  const index_t probe = nn::difference_bytes<double>(s.net, 2);
  const auto three = zo::par.with_threads(3);
  constexpr std::chrono::milliseconds long_enough{20'000}, little{20};
  EXPECT_EQ(probes_at_a_time(three, long_enough, huge), 3);
  EXPECT_LE(probes_at_a_time(three, little, pass + 2 * probe), 2);
  EXPECT_EQ(probes_at_a_time(three, little, pass + probe), 1);
  EXPECT_EQ(probes_at_a_time(zo::seq, little, huge), 1);
}

// The mean over one number is the number, and its variance zero: nothing before the batch norm
// would be learned, and the running variance would shrink to zero.
TEST(nn_objective, a_batch_norm_of_one_number_is_refused) {
  nn::network net({2, 1, 1});
  index_t x = net.batch_norm(net.linear(net.input(), "a", 3), "norm");
  net.linear(net.relu(x), "b", 2);
  std::vector<double> p = ramp<double>(net.parameter_count()), s(6, 1.0), g(p.size());
  for (const index_t count : {1, 2}) {
    const auto batch = [&](zo::sample_id) {
      const auto n = static_cast<std::size_t>(count);
      return nn::minibatch<double>{ramp<double>(2 * count), count,
                                   nn::cross_entropy(std::vector<index_t>(n, 1), 2)};
    };
    nn::objective<double> trains(net, batch, s),
        evaluates(net, batch, s, {.mode = nn::norm_mode::eval});
    EXPECT_TRUE(zo::estimate(zo::seq, evaluates, p, g, zo::cge()).ok);
    const auto train = [&] { zo::estimate(zo::seq, trains, p, g, zo::cge()); };
    const auto by_points = [&] { zo::estimate(zo::seq, trains, p, g, zo::rge()); };
    if (count > 1) {
      EXPECT_EQ(complaint(train), "");
      continue;
    }
    expect_says("batch norm norm sees one number a channel in a batch of 1 sample", train);
    expect_says("batch norm norm sees one number a channel in a batch of 1 sample", by_points);
  }
}

// Nothing is kept of what was there only for the call, and what could not be kept is not taken.
TEST(nn_objective, outlives_the_network_it_was_made_of) {
  const small s;
  const auto batch = two_samples();
  nn::objective<double> f(nn::mlp({2, 3}), [batch](zo::sample_id) { return batch; }, {});
  auto wanted = s.of(batch);
  const std::vector<double> elsewhere(1000, 7.0);
  EXPECT_EQ(f.prepare(zo::seq, s.parameters, 0), wanted.prepare(zo::seq, s.parameters, 0));
  EXPECT_EQ(f(s.parameters, 0), wanted(s.parameters, 0));
  using batch_of = std::function<nn::minibatch<double>(zo::sample_id)>;
  using objective = nn::objective<double>;
  static_assert(std::is_constructible_v<objective, nn::network, batch_of, std::vector<double>&>);
  static_assert(!std::is_constructible_v<objective, nn::network, batch_of, std::vector<double>>);
}

// The user's function is called by one thread at a time, and passes are made once: as many as ask.
TEST(nn_objective, whole_points_are_asked_by_several_threads) {
  const trial t(mixture(), 5, nn::norm_mode::train);
  std::atomic<int> inside{0}, at_most{0};
  const auto batch_of = [&](zo::sample_id) {
    at_most = std::max(at_most.load(), ++inside);
    std::this_thread::yield();
    auto batch = t.batch<double>();
    --inside;
    return batch;
  };
  const nn::objective<double> f(t.net, batch_of, t.statistics);
  const nn::objective<double> narrow(t.net, batch_of, t.statistics,
                                     {.max_bytes = nn::pass_bytes<double>(t.net, 5)});
  const zo::rge how({.directions = 24, .smoothing = 1e-4});
  std::vector<double> one(t.parameters.size()), many(one.size()), waiting(one.size());
  zo::estimate(zo::seq, f, t.parameters, one, how);
  zo::estimate(zo::par.with_threads(4), f, t.parameters, many, how);
  zo::estimate(zo::par.with_threads(4), narrow, t.parameters, waiting, how);
  EXPECT_TRUE(same_bits(one, many));
  EXPECT_TRUE(same_bits(one, waiting));
  EXPECT_EQ(at_most, 1);
  EXPECT_EQ(f(t.parameters, 0), t.loss(t.parameters));
}

// A failed question gives its pass back.
TEST(nn_objective, a_refused_point_leaves_room_for_the_next) {
  const small s;
  const auto f = s.of(two_samples(), {.max_bytes = nn::pass_bytes<double>(s.net, 2)});
  const std::vector<double> three(3);
  expect_says("the network has 9 parameters, got 3", [&] { f(three, 0); });
  EXPECT_TRUE(std::isfinite(f(s.parameters, 0)));
}

// Bytes are those of the batch at hand, whatever was asked before.
TEST(nn_objective, batches_of_changing_size_give_what_each_gives_alone) {
  const trial t(mixture(), 40, nn::norm_mode::train);
  index_t count = 40;
  const auto batch_of = [&](zo::sample_id) {
    auto batch = t.batch<double>();
    batch.count = count;
    batch.inputs.resize(static_cast<std::size_t>(count * t.net.nodes().front().out.size()));
    batch.loss = nn::cross_entropy(std::span(t.targets).first(static_cast<std::size_t>(count)),
                                   t.net.output().size());
    return batch;
  };
  nn::objective<double> f(t.net, batch_of, t.statistics);
  const zo::cge how({.coordinates = zo::coordinate_list{{0, 50, 400, 900}}});
  for (const index_t now : {40, 3, 17, 40, 2}) {
    count = now;
    std::vector<double> found(t.parameters.size()), alone(found.size());
    nn::objective<double> fresh(t.net, batch_of, t.statistics);
    zo::estimate(zo::par.with_threads(3), f, t.parameters, found, how);
    zo::estimate(zo::seq, fresh, t.parameters, alone, how);
    EXPECT_TRUE(same_bits(found, alone)) << now;
  }
}

// A loss that is no number is a failed query, and never `ok`.
template <class T, class Loss>
void expect_not_ok(const Loss& loss, T input) {
  const nn::network net = nn::mlp({2, 4, 3});
  const std::vector<T> p = ramp<T>(net.parameter_count());
  nn::objective<T, Loss> f(net,
                           [&](zo::sample_id) {
                             return nn::minibatch<T, Loss>{{input, 1, 2, 3}, 2, loss};
                           },
                           {});
  std::vector<T> g(p.size());
  const auto by_coordinates = zo::estimate(zo::seq, f, p, g, zo::cge());
  EXPECT_FALSE(by_coordinates.ok);
  const auto by_points = zo::estimate(zo::seq, f, p, g, zo::rge());
  EXPECT_FALSE(by_points.ok);
}

TEST(nn_objective, is_never_ok_without_a_finite_loss) {
  const nn::cross_entropy classes(std::vector<index_t>{0, 1}, 3);
  const nn::squared_error squares(ramp<double>(6), 2);
  for (const double input : {not_a_number, infinity, -infinity}) {
    expect_not_ok<double>(classes, input);
    expect_not_ok<double>(squares, input);
    expect_not_ok<float>(classes, static_cast<float>(input));
    expect_not_ok<float>(squares, static_cast<float>(input));
  }
  expect_not_ok<double>(squares, 1e200);  // whose square is not finite
}

// What a probe takes for the loss grows with its outputs; layers add what is reached from them.
TEST(nn_objective, costs_count_outputs_and_what_is_reached) {
  const auto cost = [](const nn::network& net, const char* name) {
    const nn::objective<float> f(
        net, [](zo::sample_id) -> nn::minibatch<float> { throw std::logic_error("unasked"); }, {});
    return f.cost(net.parameter(name).offset);
  };
  const nn::network ten = nn::mlp({4, 8, 10}), hundred = nn::mlp({4, 8, 100});
  EXPECT_EQ(cost(ten, "linear2.weight"), 1e3 * 10 + 1);
  EXPECT_EQ(cost(hundred, "linear2.weight"), 1e3 * 100 + 1);
  EXPECT_EQ(cost(ten, "linear1.weight"), 1e3 * 10 + 1 + 1 + 10 + 10);
}

// A stretch of a network that is asked about the cotangent of its outputs.
TEST(nn_objective, of_paired_outputs_has_their_slopes) {
  const trial t(nn::adjustable_cnn({2, 8, 8}, 4, 2), 5, nn::norm_mode::train);
  const std::vector<double> cotangent = noise<double>(t.count * t.net.output().size(), 9);
  nn::objective<double, nn::paired_outputs<double>> f(
      t.net,
      [&](zo::sample_id) {
        return nn::minibatch<double, nn::paired_outputs<double>>{
            t.inputs, t.count, nn::paired_outputs<double>(cotangent)};
      },
      t.statistics);
  std::vector<double> slopes(t.parameters.size()), at = t.parameters;
  const auto found =
      zo::estimate(zo::par.with_threads(2), f, t.parameters, slopes, zo::cge({.smoothing = 1e-7}));
  EXPECT_NEAR(found.value, f(t.parameters, 0), 1e-12);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const double was = at[i];
    at[i] = was + 1e-6;
    const double up = f(at, 0);
    at[i] = was - 1e-6;
    EXPECT_NEAR(slopes[i], (up - f(at, 0)) / 2e-6, 1e-5) << i;
    at[i] = was;
  }
}

}  // namespace
