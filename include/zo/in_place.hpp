// Steps in place: parameters that live in many tensors are moved into each question and back
// again, without a flat copy, a gradient or a second set of weights.
// Source: the memory of MeZO (Malladi et al., NeurIPS 2023), with weights that come back exactly.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cfenv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/config.hpp"
#include "zo/difference.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/objective.hpp"
#include "zo/optimizer.hpp"
#include "zo/outcome.hpp"
#include "zo/perturb.hpp"
#include "zo/random.hpp"
#include "zo/rge.hpp"
#include "zo/rounding.hpp"
#include "zo/rule/list.hpp"
#include "zo/slope.hpp"

namespace zo {

/// What zo::in_place asks: f() or f(sample), because the tensors hold the point.
template <class F>
concept in_place_objective = detail::rule(
    requires(F& f, sample_id sample) { f(sample); } || requires(F & f) { f(); },
    "zo: zo::in_place calls f() or f(sample), without a point: your tensors hold it") &&
    (
        requires(F& f, sample_id sample) {
          { f(sample) } -> std::convertible_to<double>;
        } ||
        requires(F & f) {
          { f() } -> std::convertible_to<double>;
        });

namespace detail {

template <class How>
concept random_estimator = rule(
    requires {
      typename How::distribution_type;
      typename How::scheme_type;
    },
    "zo: zo::in_place moves all numbers at once: its estimator is zo::rge");

template <class Rule, class T>
concept tensor_rule =
    rule(like_a_rule<Rule>,
         "zo: zo::in_place takes a zo::optimizer_rule, such as zo::sgd({.rate = 1e-4})") &&
    optimizer_rule<Rule, T> &&
    rule(!has_prox<Rule>,
         "zo: zo::in_place steps on pieces of tensors: a rule that ends its steps on all of x "
         "(prox) needs zo::minimize");

// Calls body(first, count) for tiles of `dimension` coordinates, about `least` of them or more a
// thread.
template <class Policy, class Body>
void for_tiles(const Policy& policy, index_t dimension, index_t least, const Body& body) {
  parallel_tiles(policy, 1, dimension, least, [&](index_t, index_t first, index_t count) {
    for (index_t at = first; at < first + count; at += tile) {
      body(at, std::min(tile, first + count - at));
    }
  });
}

// Tensors one behind the other, as one row of coordinates.
template <scalar T>
class tensor_row {
 public:
  explicit tensor_row(std::vector<std::span<T>> tensors) : tensors_(std::move(tensors)) {
    constexpr const char* who = "zo::in_place";
    check_apart();
    std::erase_if(tensors_, [](std::span<T> one) { return one.empty(); });
    for (const std::span<T> one : tensors_) {
      check_memory(who, "a tensor", one.data());
      ends_.push_back(dimension() + static_cast<index_t>(one.size()));
    }
    check_dimension(who, dimension());
  }

  index_t dimension() const { return ends_.empty() ? 0 : ends_.back(); }

  // Calls body(data, at, length) for the pieces of tensors that make up coordinates first …
  // first+count-1; `at` is counted from `first`.
  template <class Body>
  void each(index_t first, index_t count, const Body& body) const {
    auto k = static_cast<std::size_t>(std::ranges::upper_bound(ends_, first) - ends_.begin());
    for (index_t at = 0; at < count; ++k) {
      const index_t inside = first + at - (k == 0 ? 0 : ends_[k - 1]);
      const index_t length = std::min(count - at, ends_[k] - first - at);
      body(tensors_[k].data() + inside, at, length);
      at += length;
    }
  }
  void read(index_t first, index_t count, T* to) const {
    each(first, count, [to](const T* data, index_t at, index_t length) {
      std::memcpy(to + at, data, static_cast<std::size_t>(length) * sizeof(T));
    });
  }
  void write(index_t first, index_t count, const T* from) const {
    each(first, count, [from](T* data, index_t at, index_t length) {
      std::memcpy(data, from + at, static_cast<std::size_t>(length) * sizeof(T));
    });
  }

 private:
  void check_apart() const {
    std::vector<std::size_t> order(tensors_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::erase_if(order, [&](std::size_t k) { return tensors_[k].empty(); });
    std::ranges::sort(order, {}, [&](std::size_t k) {
      return reinterpret_cast<std::uintptr_t>(tensors_[k].data());
    });
    for (std::size_t n = 1; n < order.size(); ++n) {
      const auto [a, b] = std::minmax(order[n - 1], order[n]);
      require(apart<T>(tensors_[a], tensors_[b]), "zo::in_place: tensors ", a, " and ", b,
              " share memory; give each number once");
    }
  }

  std::vector<std::span<T>> tensors_;
  std::vector<index_t> ends_;  // of the tensors, in coordinates
};

// The numbers of a tile that x' - h u does not bring back, or the whole tile where that is smaller.
// A number takes two bytes where it is a few numbers away, as most are: its place in the tile and
// the difference of the bits.
template <scalar T>
class lost_numbers {
 public:
  using bits_type = bits_of_scalar<T>;
  static bits_type bits(T value) { return std::bit_cast<bits_type>(value); }

  // x is what was, `back` what a step back gives.
  void keep(index_t count, const T* x, const T* back) {
    std::uint16_t where[tile];
    index_t lost = 0;
    for (index_t i = 0; i < count; ++i) {
      where[lost] = static_cast<std::uint16_t>(i);
      lost += bits(x[i]) != bits(back[i]) ? 1 : 0;
    }
    std::size_t size = 0;
    for (index_t n = 0; n < lost; ++n) size += size_of(difference(x[where[n]], back[where[n]]));
    if (size >= size_of_all(count)) {
      bytes_.resize(size_of_all(count));
      std::memcpy(bytes_.data(), x, bytes_.size());
      return;
    }
    bytes_.resize(size);
    std::byte* to = bytes_.data();
    for (index_t n = 0; n < lost; ++n) {
      const index_t i = where[n];
      const difference_type away = difference(x[i], back[i]);
      const bool near = is_near(away);
      const auto entry = static_cast<std::uint16_t>((near ? away + far : 0) * tile + i);
      std::memcpy(to, &entry, sizeof entry);
      if (!near) std::memcpy(to + sizeof entry, x + i, sizeof(T));
      to += size_of(away);
    }
  }
  bool is_whole(index_t count) const { return bytes_.size() == size_of_all(count); }
  // Writes what was kept over what a step back gave, and forgets it.
  void mend(index_t count, T* back) {
    if (is_whole(count)) {
      std::memcpy(back, bytes_.data(), bytes_.size());
    } else {
      for (std::size_t at = 0; at < bytes_.size();) {
        std::uint16_t entry = 0;
        std::memcpy(&entry, bytes_.data() + at, sizeof entry);
        at += sizeof entry;
        T& value = back[entry % tile];
        if (entry >= tile) {
          value = std::bit_cast<T>(
              static_cast<bits_type>(bits(value) + static_cast<bits_type>(entry / tile - far)));
        } else {
          std::memcpy(&value, bytes_.data() + at, sizeof(T));
          at += sizeof(T);
        }
      }
    }
    std::vector<std::byte>().swap(bytes_);
  }

 private:
  using difference_type = std::make_signed_t<bits_type>;
  static constexpr int far =
      65536 / tile / 2;  // from this difference on, the number itself is kept

  static difference_type difference(T x, T back) {
    return static_cast<difference_type>(bits(x) - bits(back));
  }
  static bool is_near(difference_type away) { return away > -far && away < far; }
  static std::size_t size_of(difference_type away) {
    return sizeof(std::uint16_t) + (is_near(away) ? 0 : sizeof(T));
  }
  static std::size_t size_of_all(index_t count) {
    return static_cast<std::size_t>(count) * sizeof(T);
  }

  std::vector<std::byte> bytes_;
};

// Rounding mode and treatment of denormals as they were: f may leave others behind, and a step back
// must round as the step did.
class same_arithmetic {
 public:
  explicit same_arithmetic(const std::fenv_t& as) {
    std::fegetenv(&now_);
    std::fesetenv(&as);
  }
  same_arithmetic(const same_arithmetic&) = delete;
  same_arithmetic& operator=(const same_arithmetic&) = delete;
  ~same_arithmetic() { std::fesetenv(&now_); }

 private:
  std::fenv_t now_{};
};

// Moves the tensors along a direction and back to the same bits. One at a time.
template <scalar T, distribution D>
class displacement {
 public:
  explicit displacement(const tensor_row<T>& x)
      : x_(x), tiles_(static_cast<std::size_t>((x.dimension() + tile - 1) / tile)) {}

  // x + h u. Where memory is short, std::bad_alloc, with some of the tensors moved.
  template <class Policy>
  void move(const Policy& policy, const stream& from, T h) {
    from_ = from;
    h_ = h;
    std::fegetenv(&arithmetic_);
    for_tiles(policy, x_.dimension(), worth, [&](index_t first, index_t count) {
      moved_tile& here = tiles_[static_cast<std::size_t>(first / tile)];
      T x[tile] = {}, moved[tile], back[tile];
      x_.read(first, count, x);
      perturb<typename D::law>(from_, first, count, x, h_, moved);
      step_back(first, count, moved, back);
      here.lost.keep(count, x, back);
      x_.write(first, count, moved);
      here.moved = true;
    });
  }

  template <class Policy>
  void move_back(const Policy& policy) {
    const same_arithmetic as_before(arithmetic_);
    for_tiles(policy, x_.dimension(), worth, [&](index_t first, index_t count) {
      moved_tile& here = tiles_[static_cast<std::size_t>(first / tile)];
      if (!here.moved) return;
      T moved[tile] = {}, back[tile];
      if (!here.lost.is_whole(count)) {
        x_.read(first, count, moved);
        step_back(first, count, moved, back);
      }
      here.lost.mend(count, back);
      x_.write(first, count, back);
      here.moved = false;
    });
  }

 private:
  static constexpr index_t worth =
      worth_a_thread<typename D::law>() / 2;  // two directions a number
  struct moved_tile {
    lost_numbers<T> lost;
    bool moved = false;
  };

  // x from x' = x + h u, but for what rounding took. What is left of zero is the rounding of x'
  // itself.
  void step_back(index_t first, index_t count, const T* moved, T* back) const {
    constexpr int digits = std::numeric_limits<T>::digits;
    perturb<typename D::law>(from_, first, count, moved, -h_, back);
    for (index_t i = 0; i < count; ++i) {
      if (exponent(back[i]) + digits <= exponent(moved[i])) back[i] = T(0);
    }
  }
  static int exponent(T value) {
    constexpr int fraction = std::numeric_limits<T>::digits - 1;
    return static_cast<int>((lost_numbers<T>::bits(value) << 1) >> (fraction + 1));
  }

  const tensor_row<T>& x_;
  std::vector<moved_tile> tiles_;
  stream from_;
  T h_ = 0;
  std::fenv_t arithmetic_{};
};

// Mean of the answers, for the reported value where f(x) itself is not asked.
class answer_mean {
 public:
  void add(double answer) {
    if (is_nan(answer)) return;
    sum_ = rounded(sum_ + answer);
    small_sum_ = rounded(small_sum_ + answer * small);
    count_ += 1;
  }
  double value() const { return mean_of(sum_, small_sum_, count_); }

 private:
  double sum_ = 0, small_sum_ = 0, count_ = 0;
};

}  // namespace detail

/// Steps in place over parameters that live in many tensors, such as those of a network: random
/// directions (zo::rge) and a rule (zo::sgd, zo::adam, …), with the bits of zo::minimize on the
/// tensors one behind the other, and without any of its vectors.
///
///   zo::in_place steps({weights, bias}, zo::rge({.smoothing = 1e-3}, zo::gaussian{},
///                      zo::central{}), zo::sgd({.rate = 1e-4}));   // std::span<float> each
///   steps(zo::par, [&] { return loss_of_my_network(); }, {.seed = 1, .step = t});
///
/// Each question is written into the tensors while f is asked. Then they hold the same bits as
/// before, whatever f did: answered, failed or threw; f must only read them. Memory beside the
/// optimizer's state: 32 bytes a tile of 2,048 numbers, and during a question the numbers that
/// subtracting the step again does not give back, mostly those smaller than the step, at two bytes
/// for most of them and at most two bytes and a number; never more than a copy of x. One number a
/// direction is kept for the step, which makes the gradient tile by tile, and the element of the
/// rule as often: at() is called from several threads, with places inside of x and of the state.
/// The tensors stay yours: they must outlive this object, unmoved.
template <scalar T, detail::random_estimator How, detail::tensor_rule<T> Rule>
class in_place {
 public:
  using optimizer_type = updater<Rule, T>;

  /// Tensors of any sizes, empty ones among them; no two may share memory. Throws
  /// std::invalid_argument.
  in_place(std::vector<std::span<T>> tensors, How how, Rule rule)
      : x_(std::move(tensors)),
        how_(how.options()),
        step_(detail::checked_step<T>(how_.smoothing.number("zo::in_place"))),
        rule_(rule),
        optimizer_(rule, x_.dimension()),
        displacement_(x_) {
    detail::check_plain("zo::in_place", how_.failures);
    detail::require(rule_.state_vectors() <= most_state, "zo::in_place: a rule may keep at most ",
                    most_state, " vectors of state, got ", rule_.state_vectors());
  }
  in_place(const in_place&) = delete;
  in_place& operator=(const in_place&) = delete;

  /// One estimate and one step. f() or f(sample) is called by this thread, one question at a time;
  /// `policy` says how the numbers between the questions are worked out. Queries: as zo::rge.
  /// Where `ok` is false there was no step: a query failed (`why`; under on_failure::stop no other
  /// is asked then), or the step would leave the finite numbers. What f throws reaches the caller
  /// (on_failure::stop).
  template <detail::thread_policy Policy, in_place_objective F>
  estimate_result operator()(const Policy& policy, F&& f, const estimate_options& options = {}) {
    constexpr const char* who = "zo::in_place";
    detail::check_options(who, options);
    detail::check_known_values(who, options, 1);
    detail::require(!asking_.test_and_set(), who,
                    ": a step of the same tensors is being made; f must not make another");
    const release after{asking_};
    T* const nothing[most_state] = {};
    rule_.at(optimizer_.steps(), static_cast<T*>(nullptr), nothing);  // throws what it has to here
    return step(policy, f, options);
  }

  template <class F>
  requires(!execution_policy<F>) void operator()(const F&, const estimate_options& = {}) =
      delete;  // where loops run is said first: steps(zo::seq, f, …) or zo::par

  /// Numbers in all tensors together.
  index_t dimension() const { return x_.dimension(); }
  /// The optimizer's state over the numbers of all tensors, to be saved and resumed.
  optimizer_type& optimizer() { return optimizer_; }

 private:
  using D = typename How::distribution_type;
  using S = typename How::scheme_type;

  struct release {
    std::atomic_flag& flag;
    ~release() { flag.clear(); }
  };

  template <class Policy, class F>
  estimate_result step(const Policy& policy, F& f, const estimate_options& options) {
    const stream from{options.seed, options.step, 0, purpose::direction};
    detail::answer_mean mean;
    estimate_result result;
    double base = detail::failed_query;
    index_t good = 0;
    const auto end = [&](unsigned faults) {
      result.value = S::uses_base ? base : mean.value();
      result.ok = faults == 0 && good > 0;
      result.why = result.ok ? flaw::none
                             : detail::flaw_of((faults & detail::step_is_lost) != 0,
                                               (faults & detail::beyond_range) != 0, result.failed);
      return result;
    };
    if (const unsigned faults = find_faults(policy); faults != 0) return end(faults);
    if constexpr (S::uses_base) {
      base = options.known_values.empty() ? ask(f, options, result) : options.known_values[0];
      if (detail::is_nan(base)) return end(0);
    }
    weights_.assign(static_cast<std::size_t>(how_.directions), T(0));
    const double scale = D::scale(dimension()) / static_cast<double>(how_.directions);
    for (index_t k = 0; k < how_.directions; ++k) {
      stream direction = from;
      direction.number = static_cast<std::uint32_t>(k);
      const double factor = factor_of(policy, direction);
      double answers[S::points];
      for (int p = 0; p < S::points; ++p) {
        const auto h = static_cast<T>(detail::side(p) * step_ * factor);
        answers[p] = ask_along(policy, direction, h, f, options, result);
        mean.add(answers[p]);
        if (stops() && result.failed > 0) {
          good = 0;
          return end(0);
        }
      }
      bool usable = false;
      weights_[static_cast<std::size_t>(k)] = detail::weight_of<T>(
          scale,
          detail::slope_along(answers[0], S::uses_base ? base : answers[S::points - 1],
                              S::uses_base, step_),
          factor, usable);
      good += usable ? 1 : 0;
    }
    if (stops() && good < how_.directions) good = 0;
    if (good == 0) return end(0);
    const T rescaling = detail::rescaling<T>(how_.directions, good);
    // Nothing is written before the whole step is known to stay among the finite numbers.
    const unsigned faults = make_step<false>(policy, from, rescaling);
    if (faults != 0) return end(faults);
    make_step<true>(policy, from, rescaling);
    optimizer_.resume_at(optimizer_.steps() + 1);
    return end(0);
  }

  bool stops() const { return how_.failures == on_failure::stop; }

  template <class Policy>
  unsigned find_faults(const Policy& policy) const {
    const auto check = detail::check_of<T>(D{}, step_, dimension());
    std::atomic<unsigned> faults{0};
    detail::for_tiles(policy, dimension(), detail::worth_a_thread<rademacher>(),
                      [&](index_t first, index_t count) {
                        x_.each(first, count, [&](const T* data, index_t, index_t length) {
                          const unsigned some = detail::step_faults(check, length, data);
                          if (some != 0) faults.fetch_or(some, std::memory_order_relaxed);
                        });
                      });
    return faults;
  }

  template <class Policy>
  double factor_of(const Policy& policy, const stream& from) {
    if constexpr (D::unit_norm) {
      return detail::inverse_norm<typename D::law>(policy, from, dimension(), partial_);
    }
    return 1.0;
  }

  // What f answers where the tensors are; NaN where that is a failure.
  template <class F>
  double ask(F& f, const estimate_options& options, estimate_result& result) {
    const sample_id sample = options.sample.value_or(options.step);
    const auto call = [&] {
      if constexpr (requires { f(sample); }) {
        return static_cast<double>(f(sample));
      } else {
        return static_cast<double>(f());
      }
    };
    const auto failed = [&](std::string why) {
      ++result.failed;
      if (result.failure == nullptr) {
        result.failure =
            std::make_shared<query_failure>(query_failure{options.step, 0, std::move(why), {}});
      }
      return detail::failed_query;
    };
    ++result.queries;
    double answer = 0;
    if (stops()) {
      answer = call();
    } else {
      try {
        answer = call();
      } catch (const interrupted&) {
        throw;
      } catch (const std::exception& error) {
        return failed(error.what());
      }
    }
    return detail::is_finite(answer) ? answer : failed("the answer is " + detail::text_of(answer));
  }

  // f at x + h u.
  template <class Policy, class F>
  double ask_along(const Policy& policy, const stream& from, T h, F& f,
                   const estimate_options& options, estimate_result& result) {
    double answer = detail::failed_query;
    try {
      displacement_.move(policy, from, h);
      answer = ask(f, options, result);
    } catch (...) {
      displacement_.move_back(policy);
      throw;
    }
    displacement_.move_back(policy);
    return answer;
  }

  // The gradient and the step on it, tile by tile; on copies unless it is to be kept. Says why it
  // must not be.
  template <bool Kept, class Policy>
  unsigned make_step(const Policy& policy, const stream& from, T rescaling) {
    using L = typename D::law;
    const std::vector<std::span<T>> state = optimizer_.state();
    std::atomic<unsigned> faults{0};
    const auto least = detail::worth_a_thread<L>() / how_.directions;
    detail::parallel_tiles(
        policy, 1, dimension(), least, [&](index_t, index_t begin, index_t length) {
          std::vector<T> copies;
          if constexpr (!Kept) copies.resize((state.size() + 1) * detail::tile);
          for (index_t first = begin; first < begin + length; first += detail::tile) {
            const index_t count = std::min(detail::tile, begin + length - first);
            T g[detail::tile] = {};
            detail::accumulate<L>(from, how_.directions, weights_.data(), first, count, g);
            if (rescaling != T(1)) {
              for (index_t i = 0; i < count; ++i) g[i] *= rescaling;
            }
            bool finite = Kept || detail::all_finite(count, g);
            x_.each(first, count, [&](T* x, index_t at, index_t here) {
              T* places[most_state] = {};
              for (std::size_t s = 0; s < state.size(); ++s) {
                places[s] = state[s].data() + first + at;
              }
              if constexpr (Kept) {
                step_piece(here, g + at, places, x);
              } else {
                finite = finite && stays_finite(here, g + at, places, x, copies);
              }
            });
            if (!finite) faults = detail::beyond_range;
          }
        });
    return faults;
  }

  void step_piece(index_t count, const T* g, T* const* state, T* x) const {
    detail::walk(rule_.at(optimizer_.steps(), x, state), 0, count, g);
  }
  bool stays_finite(index_t count, const T* g, T* const* state, const T* x,
                    std::vector<T>& copies) const {
    const auto copied = [&](index_t k, const T* of) {
      return std::copy_n(of, count, copies.data() + k * detail::tile) - count;
    };
    T* const moved = copied(0, x);
    T* places[most_state] = {};
    for (int s = 0; s < rule_.state_vectors(); ++s) places[s] = copied(s + 1, state[s]);
    step_piece(count, g, places, moved);
    bool finite = detail::all_finite(count, moved);
    for (int s = 0; s < rule_.state_vectors(); ++s) {
      finite = finite && detail::all_finite(count, places[s]);
    }
    return finite;
  }

  static constexpr int most_state = 8;

  detail::tensor_row<T> x_;
  rge_options how_;
  double step_;
  Rule rule_;
  optimizer_type optimizer_;
  detail::displacement<T, D> displacement_;
  std::vector<T> weights_;       // of the directions in the estimate
  std::vector<double> partial_;  // sums of squares, by tile
  std::atomic_flag asking_;
};

template <scalar T, class How, class Rule>
in_place(std::vector<std::span<T>>, How, Rule) -> in_place<T, How, Rule>;
template <scalar T, class How, class Rule>
in_place(std::initializer_list<std::span<T>>, How, Rule) -> in_place<T, How, Rule>;

}  // namespace zo
