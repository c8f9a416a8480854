// Memory: no allocation per query, O(d) bytes whatever the number of directions, chunks that keep
// to their limit. Every allocation of this program is counted.
#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

#include "support.hpp"

namespace {

std::atomic<long> allocations{0};
std::atomic<long> bytes_now{0};
std::atomic<long> bytes_at_most{0};
std::atomic<long> allowed{-1};  // allocations before memory is short; never where negative

void* counted(std::size_t size) {
  if (allowed >= 0 && allowed-- == 0) throw std::bad_alloc();
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  ++allocations;
  const long now = bytes_now += static_cast<long>(malloc_usable_size(memory));
  long peak = bytes_at_most;
  while (now > peak && !bytes_at_most.compare_exchange_weak(peak, now)) {
  }
  return memory;
}

void discounted(void* memory) noexcept {
  if (memory != nullptr) bytes_now -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { discounted(memory); }
void operator delete[](void* memory) noexcept { discounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { discounted(memory); }
void operator delete[](void* memory, std::size_t) noexcept { discounted(memory); }

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::index_t;
using zo::rge;

struct usage {
  long allocations;
  long peak_bytes;
};

template <class Call>
usage measure(const Call& call) {
  const long before = bytes_now;
  bytes_at_most = before;
  allocations = 0;
  call();
  return {allocations, bytes_at_most - before};
}

template <class T, class F, class How>
usage of_estimate(const F& f, index_t d, const How& how, index_t chunk_bytes = 1 << 20) {
  const std::vector<T> x(static_cast<std::size_t>(d), T(0.5));
  std::vector<T> g(x.size());
  const auto ask = [&] { zo::estimate(zo::seq, f, x, g, how, {.chunk_bytes = chunk_bytes}); };
  ask();  // what is set up once per process
  return measure(ask);
}

const auto first = [](std::span<const float> x) { return static_cast<double>(x[0]); };
const auto first_of_each = [](zo::points<float> at, std::span<double> losses) {
  for (index_t k = 0; k < at.count; ++k) {
    losses[static_cast<std::size_t>(k)] = static_cast<double>(at[k][0]);
  }
};

TEST(allocations, are_counted_here) {
  EXPECT_EQ(measure([] { std::vector<int> v(10); }).allocations, 1);
  EXPECT_GE(measure([] { std::vector<char> v(5000); }).peak_bytes, 5000);
}

TEST(allocations, do_not_grow_with_the_queries) {
  const auto of_rge = [](index_t q, auto d, auto s) {
    return of_estimate<float>(first, 100, rge({.directions = q}, d, s)).allocations;
  };
  // Few directions are kept, which is one more.
  EXPECT_GE(of_rge(10, zo::gaussian{}, zo::forward{}),
            of_rge(10000, zo::gaussian{}, zo::forward{}));
  EXPECT_GE(of_rge(10, zo::sphere{}, central{}), of_rge(10000, zo::sphere{}, central{}));
  EXPECT_GE(of_rge(10, zo::rademacher{}, central{}), of_rge(10000, zo::rademacher{}, central{}));
  const auto of_cge = [](index_t d) { return of_estimate<float>(first, d, cge()).allocations; };
  EXPECT_EQ(of_cge(10), of_cge(10000));
  EXPECT_LT(of_cge(10), 20);
}

TEST(allocations, of_a_kept_workspace_are_few_and_of_a_run_the_same_at_each_step) {
  const std::vector<float> x(100, 0.5f);
  const auto run = [&](index_t queries) {
    auto y = x;
    return measure([&] {
             zo::minimize(zo::seq, first, y, rge({.directions = 4}), zo::sgd({.momentum = 0.5}),
                          {.max_queries = queries});
           })
        .allocations;
  };
  run(100);
  const long one = run(5 * 11 + 1) - run(5 * 10 + 1);
  EXPECT_EQ(run(5 * 1000 + 1) - run(5 * 999 + 1), one);
  EXPECT_LT(one, 12);
}

// Of 10,000 directions, which would need 160 MB here, no group is kept.
TEST(memory, is_of_order_d_whatever_q_is) {
  const index_t d = 4000;
  const long vector = d * index_t{sizeof(float)};
  const long fixed = 200000;  // 4096 answers and weights at once, of double
  for (const index_t q : {1, 100, 10000}) {
    EXPECT_LE(of_estimate<float>(first, d, rge({.directions = q})).peak_bytes, 2 * vector + fixed);
    EXPECT_LE(
        of_estimate<float>(first, d, rge({.directions = q}, zo::sphere{}, central{})).peak_bytes,
        2 * vector + fixed);
  }
  const auto few = of_estimate<float>(first, d, rge({.directions = 5000})).peak_bytes;
  EXPECT_EQ(of_estimate<float>(first, d, rge({.directions = 10000})).peak_bytes, few);
  EXPECT_LE(
      of_estimate<float>(first, d, cge({.coordinates = zo::random_coordinates{100}})).peak_bytes,
      2 * vector + fixed);
  EXPECT_LE(of_estimate<float>(first, 2000, cge()).peak_bytes, 2 * 2000 * 4 + fixed);
}

TEST(memory, of_directions_that_are_kept_is_at_most_a_mebibyte) {
  const index_t d = 4000;
  const long mebibyte = 1 << 20, point = d * index_t{sizeof(float)};
  const auto peak = [&](index_t q, auto distribution) {
    return of_estimate<float>(first, d, rge({.directions = q}, distribution)).peak_bytes;
  };
  const long kept = peak(64, zo::gaussian{}), many = peak(65, zo::gaussian{});
  EXPECT_GT(kept, 64 * point);
  EXPECT_LE(kept, mebibyte + 2 * point);
  EXPECT_LE(many, 2 * point);
  EXPECT_LE(peak(64, zo::rademacher{}), 2 * point);
}

TEST(memory, of_a_batch_is_a_chunk) {
  const index_t d = 10000;
  for (const index_t chunk : {index_t{1}, index_t{100000}, index_t{1000000}}) {
    const long most = std::max<long>(chunk, d * index_t{sizeof(float)}) + 200000;
    EXPECT_LE(of_estimate<float>(first_of_each, d, rge({.directions = 200}), chunk).peak_bytes,
              most);
    EXPECT_LE(
        of_estimate<float>(first_of_each, d,
                           cge({.coordinates = zo::random_coordinates{200}}, central{}), chunk)
            .peak_bytes,
        most);
  }
}

TEST(memory, of_parallel_estimates_is_one_point_a_thread) {
  const std::vector<float> x(20000, 0.5f);
  std::vector<float> g(x.size());
  for (const int threads : {1, 2, 4}) {
    const auto ask = [&] {
      zo::estimate(zo::par.with_threads(threads), first, x, g, rge({.directions = 50}));
    };
    ask();
    EXPECT_LE(measure(ask).peak_bytes, threads * 80000 + 200000);
  }
}

// Tensors of a network: normal numbers of a standard deviation, from directions.
struct tensors {
  std::vector<std::vector<float>> all;

  tensors(index_t count, index_t size, float deviation) {
    for (index_t k = 0; k < count; ++k) {
      const std::vector<float> zeros(static_cast<std::size_t>(size));
      all.push_back(zeros);
      zo::perturb(zo::seq, zo::gaussian{}, {.number = static_cast<std::uint32_t>(k)}, zeros,
                  deviation, all.back());
    }
  }
  std::vector<std::span<float>> spans() { return {all.begin(), all.end()}; }
  double sum() const {
    double sum = 0;
    for (const auto& one : all) sum += static_cast<double>(one[1]);
    return sum;
  }
};

// Most bytes of an object for steps in place and of two of its steps, over those of x.
template <class Rule>
double share_in_place(tensors at, const Rule& rule) {
  const rge how({.directions = 2, .smoothing = 1e-3}, zo::gaussian{}, central{});
  const auto step = [&] {
    zo::in_place steps(at.spans(), how, rule);
    for (std::uint64_t t = 0; t < 2; ++t) {
      EXPECT_TRUE(steps(zo::par.with_threads(2), [&] { return at.sum(); }, {.step = t}).ok);
    }
  };
  step();
  const double bytes = 4.0 * static_cast<double>(at.all.size() * at.all[0].size());
  return static_cast<double>(measure(step).peak_bytes) / bytes;
}

TEST(memory, of_steps_in_place_is_some_numbers_of_a_hundred) {
  const zo::sgd plain({.rate = 1e-6});
  const auto network = [](float deviation) { return tensors(16, 60'001, deviation); };
  EXPECT_LT(share_in_place(network(0.02f), plain), 0.04);  // less than any of its tensors
  EXPECT_LT(share_in_place(network(0.0f), zo::sgd({.rate = 0})), 0.01);
  EXPECT_LT(share_in_place(network(1e-6f), plain), 1.02);  // nothing comes back by itself
  EXPECT_LT(share_in_place(network(0.02f), zo::sgd({.momentum = 0.9})), 1.04);
  EXPECT_LT(share_in_place(network(0.02f), zo::adam({.rate = 1e-6})), 2.04);
}

TEST(memory, that_is_short_in_a_step_in_place_costs_no_weight) {
  tensors at(3, 5000, 1e-4f);
  const auto before = at.all;
  zo::in_place steps(at.spans(), rge({.directions = 2}), zo::sgd());
  const auto f = [&] { return at.sum(); };
  int times_short = 0;
  for (long granted = 0;; ++granted) {
    allowed = granted;
    try {
      const bool made = steps(zo::seq, f).ok;
      allowed = -1;
      EXPECT_TRUE(made);
      break;
    } catch (const std::bad_alloc&) {
      allowed = -1;
      ++times_short;
      EXPECT_EQ(at.all, before);
    }
  }
  EXPECT_GE(times_short, 2 * 8);  // once a tile and candidate
}

TEST(allocations, of_a_step_that_is_watched_are_none) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::tmpfile(), &std::fclose);
  const zo::watch on({.max_queries = 1'000'000, .csv = "/dev/null", .line = {.out = out.get()}});
  zo::step_report made{.queries = 1, .value = 1.0 / 3, .best = 1.0 / 7, .x = {}};
  on(made);
  const usage used = measure([&] {
    for (; made.step < 500; ++made.step) on(made);
  });
  EXPECT_EQ(used.allocations, 0);
}

}  // namespace
