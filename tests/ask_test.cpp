// Ask and tell: the bits of zo::minimize and zo::boundary whatever the order of answers, threads,
// and saves in between; and what is refused, with nothing changed.
#include "zo/ask.hpp"

#include <bit>
#include <filesystem>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "open/svrg.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::any_estimator;
using zo::index_t;
using zo::minimize_options;
using zo::minimize_result;
using zo::on_failure;
using zo::status;

constexpr index_t dimension = 9;

template <class T>
std::vector<any_estimator<T>> estimators(on_failure failures = on_failure::stop) {
  std::vector<any_estimator<T>> all;
  for (const char* const scheme : {"forward", "central"}) {
    for (const char* const law : {"gaussian", "rademacher", "sphere"}) {
      all.emplace_back(zo::estimator_options{
          .distribution = law, .scheme = scheme, .directions = 3, .failures = failures});
    }
    for (const zo::coordinate_selection& some :
         {zo::coordinate_selection(zo::all_coordinates{}),
          zo::coordinate_selection(zo::coordinate_list{{7, 2}}),
          zo::coordinate_selection(zo::random_coordinates{4})}) {
      all.emplace_back(zo::estimator_options{.estimator = "cge",
                                             .scheme = scheme,
                                             .relative = true,
                                             .coordinates = some,
                                             .failures = failures});
    }
  }
  const zo::rge few({.directions = 2, .failures = failures});
  const zo::rge many({.directions = 6, .failures = failures}, zo::sphere{}, zo::central{});
  all.emplace_back(elsewhere::svrg<zo::rge<>, std::remove_const_t<decltype(many)>>{few, many, 3});
  return all;
}

template <class T>
double loss(std::span<const T> x) {
  return smooth_loss(x);
}

// Fails at some points: a function of the point alone.
template <class T>
double failing_loss(std::span<const T> x) {
  std::uint64_t hash = 99;
  for (const T v : x) hash = (hash ^ std::bit_cast<std::uint64_t>(double(v))) * 0x9E3779B97F4A7C15;
  return hash >> 32 & 8 || hash >> 32 & 64 ? smooth_loss(x) : not_a_number;
}

template <class T>
struct outcome {
  std::vector<T> x;
  minimize_result r;
};

template <class T>
void expect_same(const outcome<T>& got, const outcome<T>& expected) {
  EXPECT_TRUE(same_bits(got.x, expected.x));
  EXPECT_EQ(got.r.why, expected.r.why);
  EXPECT_TRUE(same_bits(std::vector{got.r.value, got.r.best},
                        std::vector{expected.r.value, expected.r.best}));
  EXPECT_EQ(got.r.queries, expected.r.queries);
  EXPECT_EQ(got.r.failed, expected.r.failed);
  EXPECT_EQ(got.r.steps, expected.r.steps);
  EXPECT_EQ(got.r.next_step, expected.r.next_step);
  EXPECT_EQ(got.r.skipped, expected.r.skipped);
}

template <class T, class F, class How, class Optimizer>
outcome<T> called(const F& f, const How& how, const Optimizer& optimizer,
                  const minimize_options& options) {
  auto x = ramp<T>(dimension);
  const auto r = zo::minimize(zo::seq, f, x, how, optimizer, options);
  return {x, r};
}

template <class T>
outcome<T> end_of(const zo::ask<T>& run) {
  EXPECT_TRUE(run.over());
  EXPECT_EQ(run.waiting(), 0);
  return {copy_of(run.x()), run.result()};
}

template <class T>
struct open_question {
  std::uint64_t id;
  std::vector<T> point;
};
template <class T>
void take(std::vector<open_question<T>>& to, const zo::questions<T>& from) {
  for (const auto& q : from) to.push_back({q.id, copy_of(q.point)});
}

// Takes a few questions at a time and answers them in any order.
template <class T, class F>
void answer_in_any_order(zo::ask<T>& run, const F& f, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<open_question<T>> open;
  while (!run.over()) {
    take(open, run.ask(1 + static_cast<index_t>(random() % 7)));
    for (std::size_t some = random() % (open.size() + 1); some > 0 || open.size() > 20; --some) {
      std::swap(open[random() % open.size()], open.back());
      const auto one = std::move(open.back());
      open.pop_back();
      run.tell(one.id, f(std::span<const T>(one.point)));
      if (some == 0) break;
    }
    if (random() % 16 == 0) {
      run.ask_again();
      open.clear();
    }
  }
}

template <class T, class Optimizer>
void check_optimizer(const Optimizer& optimizer) {
  const auto check = [&](const auto& f, on_failure failures, minimize_options options) {
    options.seed = 5;
    std::uint64_t order = 1;
    for (const any_estimator<T>& how : estimators<T>(failures)) {
      const auto expected = called<T>(f, how, optimizer, options);
      zo::ask<T> run(ramp<T>(dimension), how, optimizer, options);
      answer_in_any_order(run, f, order++);
      expect_same(end_of(run), expected);
    }
  };
  check(loss<T>, on_failure::stop, {.max_queries = 90});
  check(loss<T>, on_failure::stop, {.max_queries = 500, .target = 0.5, .max_steps = 7});
  check(failing_loss<T>, on_failure::drop, {.max_queries = 150, .return_best = true});
}

TEST(ask, has_the_bits_of_minimize) {
  check_optimizer<double>(zo::sgd({.rate = 0.02}));
  check_optimizer<double>(zo::sgd({.rate = 0.02, .momentum = 0.9, .nesterov = true}));
  check_optimizer<float>(zo::sign_sgd());
  check_optimizer<float>(zo::adam({.rate = zo::cosine({.peak = 0.1, .steps = 20, .warmup = 2})}));
}

TEST(ask, has_every_end_of_minimize) {
  const zo::rge how({.directions = 3, .failures = on_failure::drop});
  const auto check = [&](const auto& f, const minimize_options& options, status why) {
    const auto expected = called<double>(f, how, zo::adam({.rate = 0.1}), options);
    EXPECT_EQ(expected.r.why, why);
    zo::ask<double> run(ramp<double>(dimension), how, zo::adam({.rate = 0.1}), options);
    answer_in_any_order(run, f, 3);
    expect_same(end_of(run), expected);
  };
  check(loss<double>, {.max_queries = 0}, status::budget_spent);
  check(loss<double>, {.max_queries = 1}, status::budget_spent);
  check(loss<double>, {.max_queries = 100}, status::budget_spent);
  check(loss<double>, {.max_queries = 100, .max_steps = 0}, status::steps_done);
  check(loss<double>, {.max_queries = 9999, .target = 4}, status::target_reached);
  check(loss<double>,
        {.max_queries = 9999,
         .on_step =
             [](const auto& at) { return at.step == 3 ? zo::verdict::stop : zo::verdict::go_on; }},
        status::callback_stopped);
  const auto fails = [](std::span<const double>) { return not_a_number; };
  check(fails, {.max_queries = 9999}, status::query_failed);
  check([](std::span<const double> x) { return 1e308 * x[0]; }, {.max_queries = 9999},
        status::out_of_range);
}

TEST(ask, reports_the_steps_of_minimize) {
  const auto reports = [](const auto& make) {
    std::vector<double> all;
    make(minimize_options{
        .max_queries = 60, .first_step = 4, .on_step = [&](const zo::step_report& at) {
          for (const double one : {double(at.step), double(at.queries), at.value, at.best,
                                   double(at.failed), at.x[2], at.x.as<double>()[1]}) {
            all.push_back(one);
          }
          return zo::verdict::go_on;
        }});
    return all;
  };
  const zo::cge how;
  const auto expected = reports([&](const minimize_options& options) {
    called<double>(loss<double>, how, zo::sgd(), options);
  });
  EXPECT_GT(expected.size(), 30u);
  EXPECT_TRUE(same_bits(reports([&](const minimize_options& options) {
                          zo::ask<double> run(ramp<double>(dimension), how, zo::sgd(), options);
                          answer_in_any_order(run, loss<double>, 1);
                        }),
                        expected));
}

TEST(ask, serves_several_threads) {
  const zo::rge how({.directions = 20, .failures = on_failure::drop}, zo::sphere{}, zo::central{});
  const minimize_options options{.max_queries = 3000, .seed = 8};
  const auto expected = called<double>(failing_loss<double>, how, zo::adam(), options);
  zo::ask<double> run(ramp<double>(dimension), how, zo::adam(), options);
  std::vector<std::thread> workers;
  for (int w = 0; w < 5; ++w) {
    workers.emplace_back([&, w] {
      while (!run.over()) {
        const auto some = run.ask(1 + w);
        for (const auto& q : some) run.tell(q.id, q.point, failing_loss(q.point));
        if (!some) std::this_thread::yield();
      }
    });
  }
  for (std::thread& one : workers) one.join();
  expect_same(end_of(run), expected);
}

TEST(ask, starts_from_an_updater_that_is_kept) {
  auto updater = zo::adam().start<double>(dimension), same = zo::adam().start<double>(dimension);
  const zo::rge how;
  const auto start = ramp<double>(dimension);
  auto x = start;
  zo::minimize(zo::seq, loss<double>, x, how, updater, {.max_queries = 21});
  ASSERT_EQ(updater.steps(), 10u);
  zo::ask<double> run(x, how, updater, {.max_queries = 21, .first_step = 10});
  answer_in_any_order(run, loss<double>, 2);
  auto y = start;
  zo::minimize(zo::seq, loss<double>, y, how, same, {.max_queries = 41});
  EXPECT_TRUE(same_bits(copy_of(run.x()), y));
  EXPECT_TRUE(
      contains(complaint([&] { zo::ask<double>(x, how, std::move(updater), {.max_queries = 21}); }),
               "the updater has made 10 steps and first_step is 0"));
}

// ---- saved and loaded

template <class T>
std::string saved(const zo::ask<T>& run) {
  std::ostringstream to;
  run.save(to);
  return to.str();
}
template <class T>
void load(zo::ask<T>& run, const std::string& bytes) {
  std::istringstream from(bytes);
  run.load(from);
}

// At every single point of the run another object goes on, as another process would.
template <class T, class F, class How, class Optimizer>
void check_every_point(const F& f, const How& how, const Optimizer& optimizer,
                       const minimize_options& options) {
  const auto expected = called<T>(f, how, optimizer, options);
  const auto fresh = [&] {
    return std::make_unique<zo::ask<T>>(ramp<T>(dimension), how, optimizer, options);
  };
  std::mt19937_64 random(7);
  auto run = fresh();
  std::vector<open_question<T>> open;
  std::set<std::uint64_t> ids;
  const auto move_house = [&] {
    const std::string bytes = saved(*run);
    run = fresh();
    load(*run, bytes);
    ASSERT_TRUE(saved(*run) == bytes) << "what is loaded is what was saved";
  };
  while (!run->over()) {
    move_house();
    if (random() % 4 == 0) open.clear();  // answers that the old process took with it
    const auto some = run->ask(1 + static_cast<index_t>(random() % 3));
    for (const auto& q : some) {
      ids.insert(q.id);
      const auto same = std::ranges::find(open, q.id, &open_question<T>::id);
      if (same == open.end()) {
        open.push_back({q.id, copy_of(q.point)});
      } else {
        ASSERT_TRUE(same_bits(same->point, copy_of(q.point))) << "ids stay";
      }
    }
    move_house();
    if (open.empty()) continue;
    std::swap(open[random() % open.size()], open.back());
    const auto one = std::move(open.back());
    open.pop_back();
    run->tell(one.id, one.point, f(std::span<const T>(one.point)));
  }
  move_house();
  expect_same(end_of(*run), expected);
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(expected.r.queries));
  EXPECT_TRUE(ids.empty() || *ids.rbegin() == ids.size() - 1) << "numbered without gaps";
}

TEST(ask, goes_on_from_every_point_of_a_run) {
  for (const auto& how : estimators<double>()) {
    check_every_point<double>(loss<double>, how, zo::adam(), {.max_queries = 70, .seed = 1});
  }
  for (const auto& how : estimators<float>(on_failure::drop)) {
    check_every_point<float>(failing_loss<float>, how, zo::sgd({.momentum = 0.5}),
                             {.max_queries = 90, .target = -99, .return_best = true});
  }
  check_every_point<double>(loss<double>, zo::cge(), zo::sign_sgd(),
                            {.max_queries = 100, .max_steps = 3});
}

TEST(ask, goes_on_in_the_middle_of_rounds) {
  const zo::rge how({.directions = 4200}, zo::rademacher{}, zo::central{});  // rounds of 4096
  const minimize_options options{.max_queries = 17'000};
  const auto expected = called<double>(loss<double>, how, zo::sgd(), options);
  EXPECT_EQ(expected.r.steps, 2u);
  auto run = std::make_unique<zo::ask<double>>(ramp<double>(dimension), how, zo::sgd(), options);
  for (index_t told = 0; const auto some = run->ask(1); ++told) {
    run->tell(some[0].id, loss(some[0].point));
    if (told % 700 != 0 && told % 4096 != 4095 && told % 8192 > 1) continue;
    const std::string bytes = saved(*run);
    run = std::make_unique<zo::ask<double>>(ramp<double>(dimension), how, zo::sgd(), options);
    load(*run, bytes);
  }
  expect_same(end_of(*run), expected);
}

TEST(ask, keeps_a_run_in_a_file) {
  const std::string path = testing::TempDir() + "zo_ask_test.run";
  const minimize_options options{.max_queries = 60};
  zo::ask<double> run(ramp<double>(dimension), zo::rge(), zo::adam(), options);
  for (int k = 0; k < 5; ++k) {
    const auto q = run.ask(1);
    run.tell(q[0].id, loss(q[0].point));
  }
  run.save(path);
  zo::ask<double> other(ramp<double>(dimension), zo::rge(), zo::adam(), options);
  other.load(path);
  EXPECT_EQ(saved(other), saved(run));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::filesystem::remove(path);
  EXPECT_THROW(other.load(path), std::system_error);
  EXPECT_THROW(other.save("/nowhere/at/all"), std::system_error);
  EXPECT_EQ(saved(other), saved(run));
}

TEST(ask, of_a_run_that_has_ended_goes_on_with_more) {
  const zo::rge how({.directions = 2});
  const auto ended = [&](const minimize_options& options) {
    zo::ask<double> run(ramp<double>(dimension), how, zo::adam(), options);
    answer_in_any_order(run, loss<double>, 4);
    return saved(run);
  };
  const auto resumed = [&](const std::string& bytes, const minimize_options& options) {
    zo::ask<double> run(ramp<double>(dimension), how, zo::adam(), options);
    load(run, bytes);
    const bool was_over = run.over();
    answer_in_any_order(run, loss<double>, 4);
    return std::pair(was_over, run.result());
  };
  const std::string spent = ended({.max_queries = 31});
  const auto [over, same] = resumed(spent, {.max_queries = 31});
  EXPECT_TRUE(over);
  EXPECT_EQ(same.why, status::budget_spent);
  EXPECT_EQ(same.queries, 31);
  EXPECT_EQ(same.next_step, 10u);
  const auto [ended_too, more] = resumed(spent, {.max_queries = 62});
  EXPECT_FALSE(ended_too);
  EXPECT_EQ(more.queries, 62);
  EXPECT_EQ(more.steps, 20u);
  EXPECT_FALSE(std::isnan(more.value));
  const std::string stepped = ended({.max_queries = 99, .max_steps = 3});
  EXPECT_TRUE(resumed(stepped, {.max_queries = 99, .max_steps = 3}).first);
  EXPECT_EQ(resumed(stepped, {.max_queries = 99, .max_steps = 8}).second.steps, 8u);
  const std::string reached = ended({.max_queries = 9999, .target = 3});
  EXPECT_EQ(resumed(reached, {.max_queries = 9999, .target = 3}).second.why,
            status::target_reached);
  EXPECT_TRUE(resumed(reached, {.max_queries = 9999, .target = 3}).first);
  EXPECT_LE(resumed(reached, {.max_queries = 9999, .target = 2.9}).second.value, 2.9);
}

// ---- what is refused

// Whether `call` says `sentence` and leaves the run as it was.
template <class T, class Call>
void expect_refused(zo::ask<T>& run, const std::string& sentence, const Call& call) {
  const std::string before = saved(run);
  const index_t waiting = run.waiting();
  const std::string said = complaint(call);
  EXPECT_TRUE(contains(said, sentence)) << said;
  EXPECT_TRUE(saved(run) == before);
  EXPECT_EQ(run.waiting(), waiting);
}

TEST(ask, refuses_answers_that_it_cannot_place) {
  zo::ask<double> run(ramp<double>(dimension), zo::rge({.directions = 4}), zo::sgd(),
                      {.max_queries = 50});
  const auto q = run.ask(3);
  ASSERT_EQ(q.size(), 3);
  EXPECT_EQ(run.waiting(), 3);
  run.tell(q[1].id, 1.0);
  expect_refused(run, "zo::ask: question 1 is answered already", [&] { run.tell(1, 1.0); });
  expect_refused(run, "question 1 is answered already", [&] { run.tell_failed(1); });
  expect_refused(run, "question 5 was never asked", [&] { run.tell(5, 1.0); });
  expect_refused(run, "was never asked", [&] { run.tell(~std::uint64_t{0}, 1.0); });
  expect_refused(run, "this is not the point that question 2 asks",
                 [&] { run.tell(2, q[0].point, 1.0); });
  expect_refused(run, "the point of question 2 has 9 coordinates, got 4",
                 [&] { run.tell(2, q[2].point.first(4), 1.0); });
  expect_refused(run, "ask for at least 1 question, got 0", [&] { run.ask(0); });
  run.tell(2, q[2].point, 1.0);
  run.tell(0, 1.0);
  run.tell(3, 1.0);  // not handed out, but asked all the same
  run.tell(4, 1.0);
  expect_refused(run, "question 0 is answered already, or its estimate was closed",
                 [&] { run.tell(0, 1.0); });
  EXPECT_EQ(run.ask(1)[0].id, 5u);
}

TEST(ask, refuses_bad_options) {
  const auto said = [](std::vector<double> x, const minimize_options& options) {
    return complaint([&] { zo::ask<double>(x, zo::rge(), zo::sgd(), options); });
  };
  EXPECT_TRUE(contains(said({1}, {}), "max_queries must be set"));
  EXPECT_TRUE(contains(said({}, {.max_queries = 1}), "zo::ask: x has no coordinates"));
  EXPECT_TRUE(contains(said({1}, {.max_queries = 1, .target = not_a_number}), "target"));
}

TEST(ask, refuses_files_that_are_damaged_or_of_another_run) {
  const std::vector<double> x{1, 2};
  const zo::rge how({.directions = 3});
  const minimize_options options{.max_queries = 99, .seed = 3};
  const auto some_way = [](auto run, int answers) {
    for (int k = 0; k < answers; ++k) run->tell(static_cast<std::uint64_t>(k), 1.0 + k);
    run->ask(1);
    return run;
  };
  const auto of = [&](const auto& estimator, const auto& optimizer, const minimize_options& with,
                      const std::vector<double>& from) {
    return some_way(std::make_unique<zo::ask<double>>(from, estimator, optimizer, with), 6);
  };
  const auto run = of(how, zo::adam(), options, x);
  const std::string good = saved(*of(how, zo::adam(), options, x));
  ASSERT_LT(good.size(), 700u);
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    expect_refused(*run, bit < 8 * 9 ? "this is not a saved run" : "damaged",
                   [&] { load(*run, bad); });
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_refused(*run, "zo::ask: th", [&] { load(*run, good.substr(0, size)); });
  }
  expect_refused(*run, "damaged", [&] { load(*run, good + "x"); });
  const std::string another = "the saved run has another dimension, scalar type, seed or estimator";
  minimize_options other = options;
  other.seed = 4;
  expect_refused(*run, another, [&] { load(*run, saved(*of(how, zo::adam(), other, x))); });
  expect_refused(*run, another, [&] {
    load(*run, saved(*of(how, zo::adam(), options, {1, 2, 3})));
  });
  expect_refused(*run, another, [&] {
    load(*run, saved(*of(zo::rge({.directions = 4}), zo::adam(), options, x)));
  });
  expect_refused(*run, "the saved run has another optimizer",
                 [&] { load(*run, saved(*of(how, zo::sgd(), options, x))); });
  const auto narrow = some_way(
      std::make_unique<zo::ask<float>>(std::vector<float>{1, 2}, how, zo::adam(), options), 6);
  expect_refused(*run, another, [&] { load(*run, saved(*narrow)); });
  other = options;
  other.return_best = true;
  expect_refused(*run, "another kind", [&] { load(*run, saved(*of(how, zo::adam(), other, x))); });
  load(*run, good);
  EXPECT_EQ(saved(*run), good);
}

TEST(ask, does_not_begin_what_a_smaller_budget_would_not_pay) {
  const zo::rge how({.directions = 3});
  const auto x = ramp<double>(dimension);
  zo::ask<double> run(x, how, zo::adam(), {.max_queries = 99});
  for (std::uint64_t id = 0; id < 9; ++id) run.tell(id, 1.0 + double(id));
  const std::string bytes = saved(run);  // 8 were paid; one of the next 4 is answered
  zo::ask<double> small(x, how, zo::adam(), {.max_queries = 12}),
      enough(x, how, zo::adam(), {.max_queries = 13});
  expect_refused(small,
                 "in the middle of an estimate that these max_queries or max_steps would not",
                 [&] { load(small, bytes); });
  load(enough, bytes);
  answer_in_any_order(enough, loss<double>, 1);
  EXPECT_EQ(enough.result().queries, 13);
}

// ---- answers that do not come

TEST(ask, an_answer_of_no_number_is_a_failed_query) {
  const auto run_of = [](on_failure failures, const auto& answer) {
    zo::ask<double> run(ramp<double>(dimension), zo::rge({.directions = 2, .failures = failures}),
                        zo::sgd(), {.max_queries = 100, .max_steps = 1});
    const auto q = run.ask(3);
    run.tell(q[0].id, 1.0);
    run.tell(q[2].id, 2.0);
    answer(run, q[1].id);
    while (const auto more = run.ask(9)) {
      for (const auto& one : more) run.tell(one.id, 3.0);
    }
    return run.result();
  };
  for (const double what : {not_a_number, infinity, -infinity}) {
    const auto told = [&](auto& run, std::uint64_t id) { run.tell(id, what); };
    const auto stopped = run_of(on_failure::stop, told);
    EXPECT_EQ(stopped.why, status::query_failed);
    EXPECT_EQ(stopped.failed, 1);
    const auto dropped = run_of(on_failure::drop, told);
    EXPECT_EQ(dropped.why, status::steps_done);
    EXPECT_EQ(dropped.failed, 1);
    ASSERT_NE(dropped.failure, nullptr);
    EXPECT_EQ(dropped.failure->why, "the answer is " + zo::detail::text_of(what));
    EXPECT_EQ(dropped.failure->point.size(), 9u);
  }
  const auto failed = run_of(on_failure::drop, [](auto& run, std::uint64_t id) {
    run.tell_failed(id, "the node is down");
  });
  ASSERT_NE(failed.failure, nullptr);
  EXPECT_EQ(failed.failure->why, "the node is down");
}

TEST(ask, closed_early_is_the_mean_over_what_was_answered) {
  const index_t q = 12;
  for (const bool both : {false, true}) {
    const auto x = ramp<double>(dimension);
    const auto estimate = [&](const auto& how) {
      zo::ask_rows<double> one({x, 1, dimension}, how, {.seed = 2, .step = 5});
      const index_t base = both ? 0 : 1, sides = both ? 2 : 1;
      const auto some = one.ask(base + 7 * sides);  // seven directions are handed out
      EXPECT_TRUE(contains(complaint([&] { one.close(); }), "f(x) and one more answer"));
      if (!both) one.tell(0, loss(some[0].point));
      EXPECT_TRUE(contains(complaint([&] { one.close(); }), "one more answer"));
      if (both) {
        one.tell(some[0].id, loss(some[0].point));
        EXPECT_TRUE(contains(complaint([&] { one.close(); }), "both sides of a direction"));
      }
      for (const index_t k : {1, 4, 6}) {
        for (index_t s = 0; s < sides; ++s) {
          const auto& asked = some[base + k * sides + s];
          one.tell(asked.id, loss(asked.point));
        }
      }
      one.close();
      EXPECT_TRUE(one.over());
      EXPECT_TRUE(
          contains(complaint([&] { one.tell(some[2].id, 1.0); }), "zo::ask_rows: question"));
      EXPECT_TRUE(contains(complaint([&] { one.close(); }), "nothing to close"));
      return one.result();
    };
    const auto found = both ? estimate(zo::rge({.directions = q}, zo::sphere{}, zo::central{}))
                            : estimate(zo::rge({.directions = q}, zo::sphere{}));
    EXPECT_TRUE(found.ok);
    EXPECT_EQ(found.queries, both ? 14 : 8) << "those handed out";
    EXPECT_EQ(found.failed, 0);
    std::vector<std::vector<double>> left;
    for (const std::uint32_t k : {1u, 4u, 6u}) {
      left.push_back(direction<double>(zo::sphere{}, {2, 5, k}, dimension));
    }
    const auto f = [](const std::vector<double>& v) { return loss(std::span<const double>(v)); };
    const auto expected = reference::rge(f, x, left, zo::sphere::scale(dimension), 1e-3, both);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(found.gradients[i], expected[i], 1e-8 * (1 + std::abs(expected[i])));
    }
  }
}

// Steps that are closed early, saved and loaded at every point; estimators of several parts go on
// with their next one.
TEST(ask, a_closed_estimate_is_remembered) {
  index_t closed = 0;
  for (const auto& how : estimators<double>()) {
    const minimize_options options{.max_queries = 200, .seed = 6};
    std::optional<outcome<double>> first;
    for (const bool moves : {false, true}) {
      const auto fresh = [&] {
        return std::make_unique<zo::ask<double>>(ramp<double>(dimension), how, zo::adam(), options);
      };
      auto run = fresh();
      index_t asked = 0;
      while (const auto some = run->ask(4)) {
        asked += some.size();
        for (index_t k = 0; k < some.size() - (some.size() > 3 ? 1 : 0); ++k) {
          run->tell(some[k].id, some[k].point, loss(some[k].point));
        }
        if (!run->over() && run->waiting() > 0) {
          closed += complaint([&] { run->close(); }).empty() ? 1 : 0;
          run->ask_again();
        }
        if (moves) {
          const std::string bytes = saved(*run);
          run = fresh();
          load(*run, bytes);
        }
      }
      const auto found = end_of(*run);
      EXPECT_LE(found.r.queries, 200);
      EXPECT_GE(asked, found.r.queries);
      if (first) expect_same(found, *first);
      first = found;
    }
  }
  EXPECT_GT(closed, 20);
}

TEST(ask, budgets_are_exact_with_failures_and_closing) {
  std::mt19937_64 random(3);
  for (const auto& how : estimators<double>(on_failure::drop)) {
    for (index_t budget = 1; budget < 60; budget += 7) {
      zo::ask<double> run(ramp<double>(dimension), how, zo::sgd(),
                          {.max_queries = budget, .max_failed_steps = 1000});
      std::set<std::uint64_t> handed_out;
      while (!run.over()) {
        const auto some = run.ask(5);
        for (const auto& q : some) handed_out.insert(q.id);
        for (const auto& q : some) {
          random() % 3 == 0 ? run.tell_failed(q.id) : run.tell(q.id, loss(q.point));
          if (random() % 6 == 0 && complaint([&] { run.close(); }).empty()) break;
        }
        run.ask_again();
      }
      EXPECT_LE(run.result().queries, budget);
      EXPECT_LE(run.result().queries, static_cast<index_t>(handed_out.size()));
    }
  }
}

// ---- what calls back

TEST(ask, on_step_must_not_use_the_run) {
  zo::ask<double>* self = nullptr;
  std::string said;
  zo::ask<double> run(ramp<double>(dimension), zo::rge(), zo::sgd(),
                      {.max_queries = 9, .on_step = [&](const zo::step_report&) {
                         said = complaint([&] { saved(*self); });
                         return zo::verdict::go_on;
                       }});
  self = &run;
  answer_in_any_order(run, loss<double>, 1);
  EXPECT_TRUE(contains(said, "on_step must not use the run that calls it")) << said;
  EXPECT_EQ(run.result().steps, 4u);
}

TEST(ask, a_run_that_an_exception_ended_can_be_loaded_again) {
  bool throws = true;
  const auto fresh = [&] {
    return std::make_unique<zo::ask<double>>(
        ramp<double>(dimension), zo::rge(), zo::adam(),
        minimize_options{.max_queries = 30, .on_step = [&](const zo::step_report& at) {
                           if (throws && at.step == 2) throw std::runtime_error("disk full");
                           return zo::verdict::go_on;
                         }});
  };
  auto run = fresh();
  std::string bytes;
  EXPECT_THROW(
      {
        for (;;) {
          const auto q = run->ask(1);
          bytes = saved(*run);
          run->tell(q[0].id, loss(q[0].point));
        }
      },
      std::runtime_error);
  EXPECT_TRUE(contains(complaint([&] { run->ask(1); }), "has ended this run; load what was saved"));
  EXPECT_TRUE(contains(complaint([&] { saved(*run); }), "has ended this run"));
  throws = false;
  load(*run, bytes);
  answer_in_any_order(*run, loss<double>, 1);
  expect_same(end_of(*run),
              called<double>(loss<double>, zo::rge(), zo::adam(), {.max_queries = 30}));
}

// ---- rows

TEST(ask_rows, has_the_bits_of_boundary) {
  const index_t rows = 3;
  const auto z = ramp<double>(rows * dimension);
  const auto f = [](std::span<const double> x, index_t row) {
    return (row == 1 ? failing_loss(x) : loss(x)) * static_cast<double>(row + 1);
  };
  std::mt19937_64 random(1);
  std::vector<any_estimator<double>> all = estimators<double>(on_failure::drop);
  all.pop_back();  // of one row at a time
  all.emplace_back(zo::rge({.directions = 2000, .failures = on_failure::drop}));
  for (const auto& how : all) {
    for (const bool knows : {false, true}) {
      std::vector<double> given =
          knows ? std::vector<double>{1.5, 2.5, 3.5} : std::vector<double>{};
      const zo::points<double> at{z, rows, dimension};
      const auto expected = zo::boundary(zo::seq, f, at, how, {.seed = 4, .known_values = given});
      zo::ask_rows<double> run(at, how, {.seed = 4, .known_values = given});
      given.assign(given.size(), 77);  // read before the call returned
      std::vector<std::pair<std::uint64_t, double>> answers;
      while (!run.over()) {
        while (auto some = run.ask(100)) {
          for (const auto& q : some) answers.push_back({q.id, f(q.point, q.row)});
        }
        std::shuffle(answers.begin(), answers.end(), random);
        for (const auto& [id, answer] : answers) run.tell(id, answer);
        answers.clear();
      }
      const auto found = run.result();
      EXPECT_TRUE(same_bits(found.gradients, expected.gradients));
      EXPECT_TRUE(same_bits(found.losses, expected.losses));
      EXPECT_EQ(found.queries, expected.queries);
      EXPECT_EQ(found.failed, expected.failed);
      EXPECT_EQ(found.ok, expected.ok);
      EXPECT_EQ(found.why, expected.why);
      EXPECT_EQ(found.failure == nullptr, expected.failure == nullptr);
      if (found.failure != nullptr) {
        EXPECT_EQ(found.failure->row, 1);
        EXPECT_EQ(found.failure->point, expected.failure->point);
      }
    }
  }
  EXPECT_TRUE(contains(complaint([&] {
                         zo::ask_rows<double>({z, 4, dimension}, zo::rge());
                       }),
                       "zo::ask_rows: z of 4 rows of 9 needs 36 numbers, got 27"));
}

TEST(ask, hands_out_failed_questions_again_and_counts_them) {
  const zo::rge how({.directions = 2,
                     .failures = zo::failure_options{.then = zo::on_failure::drop, .retries = 2}});
  const zo::minimize_options options{.max_queries = 9, .max_steps = 1};
  const std::vector<double> x{1, 2};
  std::stringstream saved;
  {
    zo::ask<double> run(x, how, zo::sgd(), options);
    const auto first = run.ask(9);
    ASSERT_EQ(first.size(), 3);
    run.tell(0, 5);
    run.tell(1, 4);
    run.tell_failed(2, "cold");
    const auto again = run.ask(9);
    ASSERT_EQ(again.size(), 1);
    EXPECT_EQ(again[0].id, 2u);
    EXPECT_EQ(again[0].tries, 1);
    EXPECT_TRUE(std::ranges::equal(again[0].point, first[2].point));
    run.save(saved);
  }
  zo::ask<double> run(x, how, zo::sgd(), options);
  run.load(saved);
  EXPECT_EQ(run.ask(9)[0].tries, 1);
  run.tell(2, std::nan(""));
  EXPECT_EQ(run.ask(9)[0].tries, 2);
  EXPECT_FALSE(run.retry(2));  // by the asker, who has the third try
  run.tell_failed(2, "cold");
  run.tell(run.ask(9)[0].id, 3);  // f at the end
  EXPECT_TRUE(run.over());
  EXPECT_EQ(run.result().queries, 6);
  EXPECT_EQ(run.result().failed, 1);
  EXPECT_EQ(run.result().steps, 1u);
}

TEST(ask, asks_again_only_what_the_budget_pays) {
  const zo::rge how({.directions = 2,
                     .failures = zo::failure_options{.then = zo::on_failure::drop, .retries = 9}});
  zo::ask<double> run(std::vector<double>{1, 2}, how, zo::sgd(), {.max_queries = 6});
  while (const auto questions = run.ask(1)) {
    const auto& q = questions[0];
    if (q.id == 2) {
      run.tell_failed(q.id);
    } else {
      run.tell(q.id, q.point[0]);
    }
  }
  EXPECT_TRUE(run.over());
  EXPECT_EQ(run.result().queries, 6);
}

}  // namespace
