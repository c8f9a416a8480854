// Random runs of objectives that fail in every way, under every failure policy, against what must
// hold of any:
//   queries reported are those made, and never more than the budget;
//   x is finite, and untouched where no step was made;
//   the bits are those of zo::seq for every number of threads, of workers and whoever answers;
//   a lie about how many numbers there are is refused, and changes nothing;
//   nothing hangs.
// random_faults [FAULTS [SEED]]: makes at least so many faults, says what it found, and exits with
// 1 where something does not hold, with the trial that shows it.
#include <unistd.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "zo/zo.hpp"

namespace {

using zo::index_t;
using zo::on_failure;
using bits64 = std::uint64_t;
using numbers = std::vector<double>;

bits64 mixed(bits64 a, bits64 b) {
  a = (a ^ b) * 0x9E3779B97F4A7C15;
  return a ^ a >> 29;
}
bits64 hash_of(std::span<const double> x, bits64 hash) {
  for (const double v : x) hash = mixed(hash, std::bit_cast<bits64>(v));
  return hash;
}

// How an objective fails: `often` queries of 1024, at points that the key chooses.
struct habits {
  bits64 key = 0;
  int often = 0;
  bool throws = false;      // std::exception
  bool throws_int = false;  // what is no std::exception, at times
  bool forgives = false;    // a point that is asked again may answer
  bool lies = false;        // about how many probes were made, at times
};

// What objectives share, of one run.
struct record {
  habits how;
  std::atomic<index_t> made{0}, faults{0};
  std::mutex mutex{};
  std::map<bits64, bits64> tries{};  // where they matter

  double answer(std::span<const double> x, bits64 hash) {
    double sum = 0;
    for (const double v : x) sum += v * v + v;
    return answer(hash_of(x, hash), sum);
  }
  double answer(bits64 hash, double honest) {
    bits64 dice = mixed(hash, how.key);
    if (how.forgives) {
      const std::lock_guard lock(mutex);
      dice = mixed(dice, tries[hash]++);
    }
    if (static_cast<int>(dice >> 20 & 1023) >= how.often) return honest;
    ++faults;
    switch (dice >> 40 & 7) {
      case 0:
        return std::numeric_limits<double>::infinity();
      case 1:
        return -std::numeric_limits<double>::infinity();
      case 2:
      case 3:
      case 4:
        if (how.throws) throw std::runtime_error("no licence");
        break;
      case 5:
        if (how.throws_int && (dice >> 44 & 31) == 0) throw 42;
        break;
      default:
        break;
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
};

struct scalar_kind {
  record* seen;
  double operator()(std::span<const double> x) const {
    ++seen->made;
    return seen->answer(x, 1);
  }
};
struct sampled_kind {
  record* seen;
  double operator()(std::span<const double> x, zo::sample_id sample) const {
    ++seen->made;
    return seen->answer(x, sample);
  }
};
// Forgets some of its answers, which is how it lies about their number.
struct batch_kind {
  record* seen;
  void operator()(zo::points<double> at, std::span<double> losses) const {
    seen->made += at.count;
    for (index_t k = 0; k < at.count; ++k) {
      if (hash_of(at[k], seen->how.key) % 64 == 0) {
        ++seen->faults;
        continue;
      }
      losses[static_cast<std::size_t>(k)] = seen->answer(at[k], 1);
    }
  }
};
struct coordinate_kind {
  record* seen;
  numbers x{};
  double prepare(std::span<const double> at, zo::sample_id) {
    x.assign(at.begin(), at.end());
    ++seen->made;
    return seen->answer(at, 1);
  }
  index_t probe(std::span<const index_t> at, std::span<const double> steps,
                std::span<double> differences) {
    const auto asked = static_cast<index_t>(at.size());
    seen->made += asked;
    bits64 hash = seen->how.key;
    for (std::size_t k = 0; k < at.size(); ++k) {
      const double number[] = {x[static_cast<std::size_t>(at[k])], steps[k]};
      hash = hash_of(number, static_cast<bits64>(at[k]));
      differences[k] = seen->answer(hash, 2 * steps[k]);
    }
    if (!seen->how.lies || hash % 32 != 0) return asked;
    ++seen->faults;
    return hash % 64 == 0 ? asked + 1 : -1;
  }
};

enum class end { result, failed, no_exception, lie };

// What a run came to.
struct outcome {
  end how = end::result;
  zo::status why = zo::status::steps_done;
  numbers x{};
  bits64 value = 0;
  index_t queries = 0, failed = 0;
  std::uint64_t steps = 0;
  bool operator==(const outcome&) const = default;
};

struct trial {
  std::mt19937_64 random;
  habits often{};
  zo::estimator_options how{};
  zo::failure_options failures{};
  zo::minimize_options options{};
  numbers start{};
  index_t budget = 0;
  bool adam = false;
  index_t faults = 0;  // of all runs
  std::string wrong{};

  int below(int bound) { return static_cast<int>(random() % static_cast<bits64>(bound)); }
  void require(bool holds, const char* what) {
    if (!holds && wrong.empty()) wrong = what;
  }

  // Runs `call` and looks at what holds of any run.
  template <class Call>
  outcome observed(record& seen, const Call& call) {
    outcome found;
    found.x = start;
    try {
      const zo::minimize_result r = call(found.x);
      found.why = r.why;
      found.value = std::bit_cast<bits64>(r.value);
      found.queries = r.queries;
      found.failed = r.failed;
      found.steps = r.steps;
      require(r.queries == seen.made, "queries reported are those made");
      require(r.failed <= r.queries, "no more fail than were made");
      require((r.failure != nullptr) == (r.failed > 0), "a failure is named where there is one");
      require(std::isnan(r.value) || std::isfinite(r.value), "a value is a number, or not known");
      require(r.steps > 0 || found.x == start, "x is untouched where no step was made");
    } catch (const std::runtime_error&) {
      found.how = end::failed;
      require(failures.then == on_failure::stop, "only a run that stops throws");
    } catch (const std::invalid_argument& error) {
      found.how = end::lie;
      require(often.lies, error.what());
    } catch (int) {
      found.how = end::no_exception;
    }
    require(seen.made <= budget, "the budget is kept");
    for (const double v : found.x) require(std::isfinite(v), "x is finite");
    faults += seen.faults;
    return found;
  }

  template <class With>
  auto with_rule(const With& with) const {
    return adam ? with(zo::adam({.rate = 0.01})) : with(zo::sgd({.rate = 0.01}));
  }
  zo::any_estimator<double> estimator() const {
    zo::estimator_options all = how;
    all.failures = failures;
    return {all};
  }

  template <class Kind, class Policy>
  outcome minimized(const Policy& policy) {
    record seen{often};
    Kind f{&seen};
    return observed(seen, [&](numbers& x) {
      return with_rule(
          [&](auto rule) { return zo::minimize(policy, f, x, estimator(), rule, options); });
    });
  }
  // Answered in any order, with lies between.
  outcome asked() {
    record seen{often};
    return observed(seen, [&](numbers& x) {
      return with_rule([&](auto rule) {
        zo::ask<double> run(x, estimator(), rule, options);
        while (!run.over()) {
          const auto questions = run.ask(1 + below(9));
          std::vector<index_t> order;
          for (index_t k = 0; k < questions.size(); ++k) {
            order.insert(order.begin() + below(static_cast<int>(k) + 1), k);
          }
          for (const index_t k : order) tell(run, questions[k], seen);
        }
        x.assign(run.x().begin(), run.x().end());
        return run.result();
      });
    });
  }
  void tell(zo::ask<double>& run, const zo::question<double>& asked, record& seen) {
    const auto refused = [&](const auto& call) {
      ++seen.faults;
      try {
        call();
      } catch (const std::invalid_argument&) {
        return;
      }
      require(false, "a lie is refused");
    };
    if (below(64) == 0) {
      numbers point(asked.point.begin(), asked.point.end());
      refused([&] { run.tell(asked.id + 1000, 0.0); });
      point.push_back(1);
      refused([&] { run.tell(asked.id, point, 0.0); });
      point.pop_back();
      point[0] = point[0] == 0 ? 1 : -point[0];
      refused([&] { run.tell(asked.id, point, 0.0); });
    }
    ++seen.made;
    double loss = std::nan("");
    try {
      loss = seen.answer(asked.point, 1);
      run.tell(asked.id, asked.point, loss);
    } catch (const std::runtime_error& error) {
      run.tell_failed(asked.id, error.what());
    }
    // One that failed may be asked again.
    if (std::isfinite(loss) && below(64) == 0) refused([&] { run.tell(asked.id, 0.0); });
  }
  outcome answered_by_workers(index_t answers) {
    record seen{often};
    const scalar_kind f{&seen};
    return observed(seen, [&](numbers& x) {
      return with_rule([&](auto rule) {
        return zo::minimize_async(f, x, estimator(), rule, options,
                                  {.workers = 1 + below(4), .answers = answers});
      });
    });
  }
  // Answers that are late, of threads that are left behind.
  outcome late() {
    using std::chrono::milliseconds;
    record seen{often};
    const bits64 key = often.key;
    const auto is_slow = [key](std::span<const double> x) { return hash_of(x, key) % 8 == 0; };
    const auto slow = [is_slow](std::span<const double> x) {
      if (is_slow(x)) std::this_thread::sleep_for(milliseconds(15));
      return x[0];
    };
    return observed(seen, [&](numbers& x) {
      const zo::time_limit timed(slow, milliseconds(3), 1000);
      const auto f = [&](std::span<const double> at) {
        ++seen.made;
        if (is_slow(at)) ++seen.faults;
        return timed(at);
      };
      return with_rule([&](auto rule) {
        return zo::minimize(zo::par.with_threads(2), f, x, estimator(), rule, options);
      });
    });
  }

  void run() {
    failures.then = static_cast<on_failure>(below(4));
    failures.retries = below(3) == 0 ? 1 + below(3) : 0;
    failures.penalty = 100;
    failures.replacements = static_cast<int>(below(3));
    if (below(4) == 0) failures.most_failed = below(40);
    how.estimator = below(3) == 0 ? "cge" : "rge";
    how.distribution = below(2) == 0 ? "rademacher" : below(2) == 0 ? "gaussian" : "sphere";
    how.scheme = below(2) == 0 ? "forward" : "central";
    how.directions = 1 + below(8);
    how.smoothing = 1e-2;
    const bool cge = how.estimator == "cge";
    start.resize(static_cast<std::size_t>(1 + below(6)));
    for (double& v : start) v = below(2001) / 500.0 - 2;
    budget = below(4) == 0 ? below(20) : below(600);
    options.max_queries = budget;
    options.seed = random();
    options.return_best = below(4) == 0;
    options.max_failed_steps = below(2) == 0 ? 10 : below(200);
    options.chunk_bytes = 1 + below(500);
    adam = below(2) == 0;
    often = {random(), below(2) == 0 ? below(200) : below(1025), below(2) == 0};
    often.throws_int = below(8) == 0;
    const bool pure = below(4) != 0;
    often.forgives = !pure && failures.retries > 0;

    if (cge && failures.then == on_failure::replace) failures.then = on_failure::drop;
    const int kind = below(1000);
    if (kind == 0) {
      late();
    } else if (kind < 250) {
      same<sampled_kind>();
    } else if (kind < 500) {
      same<batch_kind>();
    } else if (kind < 700 && cge) {
      often.lies = below(2) == 0;
      same<coordinate_kind>();
    } else {
      often.throws_int = false;  // which leaves through whoever answers
      elsewhere(same<scalar_kind>());
    }
  }
  void elsewhere(const outcome& alone) {
    const auto compare = [&](const outcome& other, const char* what) {
      require(often.forgives || alone.how != end::result ||
                  (other.x == alone.x && other.value == alone.value && other.steps == alone.steps &&
                   other.why == alone.why),
              what);
    };
    compare(asked(), "the bits are the same when asked and told");
    if (below(8) != 0) return;
    compare(answered_by_workers(0), "the bits are the same for all workers");
    answered_by_workers(1);
  }
  template <class Kind>
  outcome same() {
    const outcome alone = minimized<Kind>(zo::seq);
    if (below(4) == 0) {
      const outcome together = minimized<Kind>(zo::par.with_threads(2 + below(3)));
      if (!often.forgives) require(alone == together, "the bits are the same for all threads");
    }
    return alone;
  }
};

}  // namespace

int main(int count, char** arguments) {
  const index_t wanted = count > 1 ? std::atoll(arguments[1]) : 1'000'000;
  const bits64 seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (count > 3 || wanted < 1) {
    std::fprintf(stderr, "usage: random_faults [FAULTS [SEED]]\n");
    return 2;
  }
  index_t faults = 0, wrong = 0;
  bits64 trials = 0;
  for (; faults < wanted; ++trials) {
    trial t{std::mt19937_64(mixed(mixed(0, seed), trials))};
    alarm(120);  // what hangs is killed
    t.run();
    faults += t.faults;
    if (t.wrong.empty()) continue;
    if (++wrong > 20) continue;
    std::printf("seed %llu, trial %llu: does not hold: %s\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(trials), t.wrong.c_str());
  }
  std::printf("%lld faults in %llu trials: %lld trials in which something does not hold\n",
              static_cast<long long>(faults), static_cast<unsigned long long>(trials),
              static_cast<long long>(wrong));
  return wrong == 0 ? 0 : 1;
}
