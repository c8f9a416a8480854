// Random estimates and runs of objectives that fail, throw, answer huge numbers and estimate
// themselves, against what must hold of any:
//   queries reported are those made, and a budget is never exceeded;
//   x is untouched by estimates;
//   what is `ok` is finite, and what is not is a gradient of zeros;
//   the exception of the first query in order reaches the caller;
//   every number of threads gives the bits and exceptions of one.
// random_oracles [QUERIES [SEED]]: makes at least so many queries, says what it found, and exits
// with 1 where something does not hold, with the trial that shows it.
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "zo/zo.hpp"

namespace {

using zo::index_t;

using bits64 = std::uint64_t;

bits64 mixed(bits64 a, bits64 b) {
  a = (a ^ b) * 0x9E3779B97F4A7C15;
  return a ^ a >> 29;
}

template <class T>
bits64 hash_of(std::span<const T> x, bits64 start) {
  for (const T v : x) start = mixed(start, std::bit_cast<bits64>(static_cast<double>(v)));
  return mixed(start, x.size());
}

// How often a query goes wrong, in thousandths, and how.
struct habits {
  int not_a_number = 0, infinite = 0, throws = 0, throws_int = 0, huge = 0, estimates = 0;
};

// What one estimate or run did to the objective.
struct record {
  bits64 key = 0;  // so that other trials fail elsewhere
  habits often;
  std::atomic<index_t> made{0}, bad{0};
  std::atomic<bool> threw{false};
  std::mutex mutex;
  std::string first_thrown;  // in order of time: of one thread alone the lowest

  void note_thrown(const std::string& what) {
    const std::lock_guard lock(mutex);
    if (first_thrown.empty()) first_thrown = what;
    threw = true;
  }

  // The answer where the honest one is `loss`, a function of `hash` alone.
  double answer(bits64 hash, double loss, index_t queries = 1) {
    made += queries;
    int chance = static_cast<int>(mixed(hash, key) >> 20 & 0xFFFFF) % 1000;
    const auto falls = [&](int often_) { return (chance -= often_) < 0; };
    if (falls(often.not_a_number)) return ++bad, std::numeric_limits<double>::quiet_NaN();
    if (falls(often.infinite)) {
      ++bad;
      const double infinity = std::numeric_limits<double>::infinity();
      return hash & 1 ? infinity : -infinity;
    }
    if (falls(often.throws)) {
      ++bad;
      note_thrown(std::to_string(hash));
      throw std::runtime_error(std::to_string(hash));
    }
    if (falls(often.throws_int)) {
      ++bad;
      const int what = static_cast<int>(hash & 0xFFFF);
      note_thrown(std::to_string(what));
      throw what;
    }
    if (falls(often.huge)) return (hash & 2 ? 1.7e308 : -1.7e308) * ((hash & 4) != 0 ? 1 : 1e-5);
    if (falls(often.estimates)) {
      std::vector<double> x{1, 2}, g(2);
      auto inner = [](std::span<const double> v) { return v[0] * v[1]; };
      zo::estimate(zo::par.with_threads(2), inner, x, g, zo::rge({.directions = 3}));
      return loss + g[0];
    }
    return loss;
  }
};

template <class T>
double honest(std::span<const T> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x[i]);
    sum += v * v * static_cast<double>(i % 3 + 1) + v;
  }
  return sum;
}

template <class T>
struct scalar_kind {
  record* seen;
  double operator()(std::span<const T> x) const { return seen->answer(hash_of(x, 1), honest(x)); }
};
template <class T>
struct sampled_kind {
  record* seen;
  double operator()(std::span<const T> x, zo::sample_id sample) const {
    return seen->answer(hash_of(x, sample), honest(x) + static_cast<double>(sample % 7));
  }
};
template <class T>
struct batch_kind {
  record* seen;
  void operator()(zo::points<T> at, std::span<double> losses) const {
    bits64 hash = 3;
    for (index_t k = 0; k < at.count; ++k) {
      hash = hash_of(at[k], 3);
      if (hash % 997 == 0) continue;  // an answer that is forgotten
      losses[static_cast<std::size_t>(k)] = seen->answer(hash, honest(at[k]), 0);
    }
  }
};
// Counts whole calls, because an exception ends them.
template <class T>
struct counting_batch {
  record* seen;
  void operator()(zo::points<T> at, std::span<double> losses, zo::sample_id sample) const {
    seen->made += at.count;
    batch_kind<T>{seen}(at, losses);
    losses[0] += static_cast<double>(sample % 5);
  }
};
template <class T>
struct rowwise_kind {
  record* seen;
  void operator()(zo::points<T> at, std::span<const index_t> rows, std::span<double> losses) const {
    seen->made += at.count;
    for (index_t k = 0; k < at.count; ++k) {
      const auto j = static_cast<std::size_t>(k);
      losses[j] = seen->answer(hash_of(at[k], static_cast<bits64>(rows[j])), honest(at[k]), 0);
    }
  }
};
template <class T>
struct coordinate_kind {
  record* seen;
  std::vector<T> x{};
  double prepare(std::span<const T> at, zo::sample_id) {
    x.assign(at.begin(), at.end());
    return seen->answer(hash_of(at, 5), honest(at));
  }
  void probe(std::span<const index_t> at, std::span<const T> steps, std::span<double> differences) {
    seen->made += static_cast<index_t>(at.size());
    for (std::size_t k = 0; k < at.size(); ++k) {
      const T number[] = {x[static_cast<std::size_t>(at[k])], steps[k], static_cast<T>(at[k])};
      differences[k] = seen->answer(hash_of(std::span<const T>(number), 7),
                                    2 * static_cast<double>(steps[k]), 0);
    }
  }
};
template <class T>
struct lazy_kind {
  record* seen;
  template <class Part>
  double part(const Part& x) const {
    double sum = 0;
    x.each([&](index_t i, T v) { sum += static_cast<double>(v) * static_cast<double>(i % 3 + 1); });
    return sum;
  }
  double finish(double sum) const {
    return seen->answer(mixed(11, std::bit_cast<bits64>(sum)), sum);
  }
};

// What a call came to: bits of all its numbers, or the exception.
struct outcome {
  std::string thrown;
  bits64 bits = 0;
  index_t queries = 0, failed = 0;
  bool ok = false;
  bool operator==(const outcome&) const = default;
};

struct trial {
  std::mt19937_64 random;
  int threads = 1;
  index_t dimension = 1;
  habits often;
  zo::on_failure failures = zo::on_failure::stop;
  zo::estimate_options place;
  index_t budget = 1;
  double smoothing = 1e-3;
  bool runs = false;  // a whole run, not one estimate
  std::string wrong;

  int below(int bound) { return static_cast<int>(random() % static_cast<bits64>(bound)); }
  void require(bool holds, const char* what) {
    if (!holds && wrong.empty()) wrong = what;
  }
};

template <class Number>
bool all_finite(std::span<const Number> values) {
  for (const Number v : values) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

// Runs `call` and looks at what holds whatever the objective did.
template <class Call>
outcome observed(trial& t, record& seen, bool in_order, const Call& call) {
  outcome found;
  try {
    found = call();
    t.require(found.queries == seen.made, "queries reported are those made");
    t.require(found.failed <= found.queries, "no more queries fail than were made");
    t.require(t.failures == zo::on_failure::drop || !seen.threw, "exceptions reach the caller");
  } catch (const std::runtime_error& error) {
    found.thrown = error.what();
    t.require(t.failures == zo::on_failure::stop, "exceptions are dropped");
  } catch (int number) {
    found.thrown = std::to_string(number);
  } catch (const std::invalid_argument& error) {
    found.thrown = std::string("refused: ") + error.what();
    t.wrong = found.thrown;
  }
  if (in_order && !found.thrown.empty() && t.failures == zo::on_failure::stop) {
    t.require(found.thrown == seen.first_thrown, "the exception is that of the first query");
  }
  return found;
}

template <class T>
bits64 bits_of(const std::vector<T>& g, double value, bits64 start = 0) {
  return mixed(hash_of(std::span<const T>(g), start), std::bit_cast<bits64>(value));
}

template <class T, template <class> class Kind, class How>
outcome one_call(trial& t, int threads, const How& how, const std::vector<T>& start,
                 index_t& made) {
  record seen;
  seen.key = t.place.seed;
  seen.often = t.often;
  Kind<T> f{&seen};
  const auto policy = zo::par.with_threads(threads);
  std::vector<T> x = start, g(x.size(), T(7));
  outcome found = observed(t, seen, threads == 1, [&]() -> outcome {
    if (t.runs) {
      const auto r = zo::minimize(
          policy, f, x, how, zo::sgd({.rate = 1e-3}),
          {.max_queries = t.budget, .seed = t.place.seed, .chunk_bytes = t.place.chunk_bytes});
      t.require(r.queries <= t.budget, "the budget is kept");
      t.require(all_finite(std::span<const T>(x)), "x stays finite");
      return {"", bits_of(x, r.value, static_cast<bits64>(r.why)), r.queries, r.failed, true};
    }
    const auto r = zo::estimate(policy, f, x, g, how, t.place);
    if (r.ok) {
      t.require(all_finite(std::span<const T>(g)), "an estimate that is ok is finite");
      t.require(std::isfinite(r.value), "the value of an estimate that is ok is finite");
    } else {
      t.require(g == std::vector<T>(g.size()), "a failed estimate is all zeros");
    }
    return {"", bits_of(g, r.value), r.queries, r.failed, r.ok};
  });
  t.require(t.runs || std::memcmp(x.data(), start.data(), x.size() * sizeof(T)) == 0,
            "x is untouched");
  made += seen.made;
  return found;
}

template <class T, class How>
outcome rows_call(trial& t, int threads, const How& how, const std::vector<T>& z, index_t rows,
                  index_t& made) {
  record seen;
  seen.key = t.place.seed;
  seen.often = t.often;
  const rowwise_kind<T> f{&seen};
  outcome found = observed(t, seen, threads == 1, [&]() -> outcome {
    const auto r =
        zo::boundary(zo::par.with_threads(threads), f,
                     zo::points<T>{z, rows, static_cast<index_t>(z.size()) / rows}, how, t.place);
    if (r.ok) {
      t.require(all_finite(std::span<const T>(r.gradients)), "gradients that are ok are finite");
    } else {
      t.require(r.gradients == std::vector<T>(z.size()), "failed gradients are all zeros");
    }
    bits64 bits = bits_of(r.gradients, 0);
    for (const double loss : r.losses) bits = mixed(bits, std::bit_cast<bits64>(loss));
    return {"", bits, r.queries, r.failed, r.ok};
  });
  made += seen.made;
  return found;
}

// One call alone and by several threads.
template <class T, class How>
void compare(trial& t, const How& how, index_t& made) {
  std::vector<T> x(static_cast<std::size_t>(t.dimension));
  for (T& v : x) v = static_cast<T>(static_cast<double>(t.below(2001) - 1000) / 256);
  const auto twice = [&](const auto& call) {
    const outcome alone = call(1), together = call(t.threads);
    t.require(alone.thrown == together.thrown, "the exception is the same for all threads");
    t.require(alone == together, "the bits are the same for all threads");
  };
  const auto with = [&]<template <class> class Kind>() {
    twice([&](int threads) { return one_call<T, Kind>(t, threads, how, x, made); });
  };
  constexpr bool probes = !requires { typename How::distribution_type; };
  const int kind = t.below(probes ? 7 : 6);
  if (kind == 0) with.template operator()<scalar_kind>();
  if (kind == 1) with.template operator()<sampled_kind>();
  if (kind == 2 || kind == 3) with.template operator()<counting_batch>();
  if (kind == 4) with.template operator()<lazy_kind>();
  if (kind == 5) {
    const index_t rows = 1 + t.below(5);
    std::vector<T> z;
    for (index_t row = 0; row < rows; ++row) z.insert(z.end(), x.begin(), x.end());
    twice([&](int threads) { return rows_call<T>(t, threads, how, z, rows, made); });
  }
  if constexpr (probes) {
    if (kind == 6) with.template operator()<coordinate_kind>();
  }
}

template <class T>
void any_estimator(trial& t, index_t& made) {
  const index_t q = t.below(30) == 0 ? 3000 + t.below(2000) : 1 + t.below(20);
  const zo::rge_options random{q, t.smoothing, t.failures};
  const auto either = [&](const auto& with) {
    t.below(2) == 0 ? with(zo::forward{}) : with(zo::central{});
  };
  either([&]<class S>(S scheme) {
    switch (t.below(5)) {
      case 0:
        return compare<T>(t, zo::rge(random, zo::gaussian{}, scheme), made);
      case 1:
        return compare<T>(t, zo::rge(random, zo::rademacher{}, scheme), made);
      case 2:
        return compare<T>(t, zo::rge(random, zo::sphere{}, scheme), made);
      default:
        zo::cge_options all{t.smoothing, t.below(2) == 0, zo::all_coordinates{}, t.failures};
        if (t.below(2) == 0) {
          all.coordinates = zo::random_coordinates{
              1 + t.below(static_cast<int>(std::min<index_t>(t.dimension, 99)))};
        }
        return compare<T>(t, zo::cge(all, scheme), made);
    }
  });
}

// Trial `number` of a seed, by itself: what a failure prints brings it back.
std::string run_trial(bits64 seed, bits64 number, index_t& made) {
  trial t;
  t.random.seed(mixed(mixed(0, seed), number));  // no other seed has the same trials
  t.threads = t.below(20) == 0 ? 64 : 2 + t.below(4);
  t.dimension = t.below(80) == 0 ? 2000 + t.below(3000) : 1 + t.below(40);
  const auto rate = [&] { return t.below(3) == 0 ? t.below(t.below(2) == 0 ? 20 : 500) : 0; };
  t.often = {rate() / 3, rate() / 3, rate(), rate() / 9, rate() / 3, t.below(9) == 0 ? 30 : 0};
  t.failures = t.below(2) == 0 ? zo::on_failure::stop : zo::on_failure::drop;
  t.place.seed = t.random();
  t.place.step = t.random() >> 8;
  t.place.chunk_bytes = 1 + t.below(t.below(2) == 0 ? 2000 : 2000000);
  t.runs = t.below(4) == 0;
  t.budget = 1 + t.below(300);
  t.smoothing = std::pow(10.0, -t.below(7));
  t.below(2) == 0 ? any_estimator<float>(t, made) : any_estimator<double>(t, made);
  return t.wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const zo::index_t wanted = count > 1 ? std::atoll(arguments[1]) : 100'000;
  const std::uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (count > 3 || wanted < 1) {
    std::fprintf(stderr, "usage: random_oracles [QUERIES [SEED]]\n");
    return 2;
  }
  zo::index_t made = 0, wrong = 0;
  std::uint64_t trials = 0;
  for (; made < wanted; ++trials) {
    const std::string found = run_trial(seed, trials, made);
    if (found.empty()) continue;
    ++wrong;
    if (wrong <= 20) {
      std::printf("seed %llu, trial %llu: does not hold: %s\n",
                  static_cast<unsigned long long>(seed), static_cast<unsigned long long>(trials),
                  found.c_str());
    }
  }
  std::printf("%lld queries in %llu trials: %lld trials in which something does not hold\n",
              static_cast<long long>(made), static_cast<unsigned long long>(trials),
              static_cast<long long>(wrong));
  return wrong == 0 ? 0 : 1;
}
