// Jacobians of black boxes on the device, and products with one direction: zo::jacobian and zo::jvp
// for a point in device memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "zo/cge.hpp"
#include "zo/coloring.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/cuda/estimate.hpp"
#include "zo/cuda/machine.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/vector_map.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/difference.hpp"
#include "zo/error.hpp"
#include "zo/jacobian.hpp"
#include "zo/shared.hpp"

namespace zo {

namespace cuda {

/// A coloring copied to the device, once: Jacobians by it copy nothing. Waits for the copy.
/// Memory: 8 bytes a nonzero and a row, 4 a column.
class device_coloring {
 public:
  device_coloring(const policy& on, const coloring& colors)
      : columns_(colors.pattern().columns),
        colors_(colors.colors()),
        print_(zo::detail::fingerprint()
                   .add(std::span(colors.pattern().starts))
                   .add(std::span(colors.pattern().indices))
                   .value()),
        starts_(on, colors.pattern().starts),
        indices_(on, colors.pattern().indices),
        color_(on, colors_of(colors)) {}

  index_t rows() const { return starts_.size() - 1; }
  index_t columns() const { return columns_; }
  index_t colors() const { return colors_; }
  index_t entries() const { return indices_.size(); }

  /// For zo::jacobian: where they lie, and what processes agree on.
  detail::colored_columns on_device() const {
    return {rows(), starts_.data(), indices_.data(), color_.data()};
  }
  std::uint64_t print() const { return print_; }

 private:
  static std::vector<std::int32_t> colors_of(const coloring& colors) {
    std::vector<std::int32_t> all;
    for (index_t j = 0; j < colors.pattern().columns; ++j) {
      all.push_back(static_cast<std::int32_t>(colors.color_of(j)));
    }
    return all;
  }

  index_t columns_, colors_;
  std::uint64_t print_;
  array<index_t> starts_, indices_;
  array<std::int32_t> color_;
};

namespace detail {

// What a Jacobian and a product share: who asks what, and where the results go.
template <class T>
struct map_call {
  const char* who;
  const char* result_name;
  span<const T> x;
  span<T> y;
  span<T> result;
  span<const T> known_y;

  index_t outputs() const { return y.size(); }

  void check(const policy& on, const estimate_options& options, index_t entries,
             const workspace& memory) const {
    using zo::detail::require;
    zo::detail::check_dimension(who, x.size());
    require(outputs() >= 1, who, ": F must answer at least 1 number, and y has room for none");
    zo::detail::check_options(who, options);
    require(options.known_values.empty(), who,
            ": known_values are losses; hand answers that are known in as known_y");
    require(known_y.size() == 0 || known_y.size() == outputs(), who,
            ": known_y must be empty or have ", outputs(), " numbers, got ", known_y.size());
    require(result.size() == entries, who, ": ", result_name, " must have room for ", entries,
            " numbers, got ", result.size());
    require(apart(result, x) && apart(result, y) && apart(result, known_y), who, ": ", result_name,
            " must not overlap x, y or known_y");
    require(apart(y, x), who, ": y must not overlap x");
    require(known_y.data() == y.data() || apart(y, known_y), who,
            ": known_y must be y itself or apart from it");
    check_device_pointer(on, who, "x", x.data());
    check_device_pointer(on, who, "y", y.data());
    if (entries > 0) check_device_pointer(on, who, result_name, result.data());
    if (known_y.size() > 0) check_device_pointer(on, who, "known_y", known_y.data());
    require(memory.on().stream() == on.stream(), who,
            ": the workspace belongs to another stream; make one a stream");
  }

  // As processes with a CPU have it. `other`: numbers beside x.
  template <class Describe>
  void agree(const policy& on, const estimate_options& options, span<const T> other,
             const Describe& describe) const {
    zo::detail::agree_on_estimate<T>(
        on.team(), x.size(), 1,
        [&](zo::detail::fingerprint& print) {
          print.add(who).add(outputs()).add(known_y.size() == 0);
          describe(print);
        },
        options,
        [&] {
          return zo::detail::fingerprint()
              .add(fingerprint_of(on, x))
              .add(fingerprint_of(on, other))
              .add(fingerprint_of(on, known_y))
              .value();
        });
  }
};

// The questions of one call in the memory of a workspace, asked in chunks.
template <class T, class F>
class asked_columns {
 public:
  asked_columns(const policy& on, F& f, const map_call<T>& call, const estimate_options& options,
                on_failure failures, workspace& memory)
      : on_(on),
        call_(call),
        map_(on, f, call.outputs(), options.sample.value_or(options.step)),
        failures_(failures),
        memory_(memory),
        report_(memory.take<report>(room::report, 1)),
        known_(memory.take<column_tally>(room::tally, 1)) {
    fill_zero(on.stream(), known_, sizeof(column_tally));
  }

  // Groups of `sides` points that fit at once, beside `others` bytes: takes their memory.
  index_t reserve(index_t groups, int sides, index_t chunk_bytes, index_t others) {
    constexpr index_t most_at_once = index_t{1} << 16;
    const index_t own = others + static_cast<index_t>(sizeof(report) + sizeof(column_tally));
    const index_t point = call_.x.size() * static_cast<index_t>(sizeof(T));
    const index_t fit =
        memory_.left_of(chunk_bytes, own) / (sides * (point + map_.bytes_a_candidate()));
    const index_t at_once = std::clamp(fit, index_t{1}, std::min(groups, most_at_once / sides));
    points_ = memory_.take<T>(room::candidates, at_once * sides * call_.x.size());
    answers_ = memory_.take<T>(room::maps, at_once * sides * call_.outputs());
    if constexpr (asked_map<T, F>::by_rows) {
      rows_ = memory_.take<index_t>(room::mapped, at_once * sides);
      fill_zero(on_.stream(), rows_, at_once * sides * 8);
    }
    return at_once;
  }
  T* points() const { return points_; }

  // y = F(x), known or asked.
  void base() {
    if (call_.known_y.size() == 0) {
      map_.ask_together(1, call_.y.data(), [&](index_t, index_t) {
        map_.ask({call_.x, 1, call_.x.size()}, {rows_, 1}, call_.y.data(), failures_);
      });
      ++queries_;
    } else if (call_.known_y.data() != call_.y.data()) {
      copy_on_device(on_.stream(), call_.known_y.data(), map_.bytes(1), call_.y.data());
    }
    spoil_failed(on_, 1, call_.outputs(), call_.y.data());
  }
  // Answers to `count` points, made by write(first, count) and undone by restore(first, count).
  template <class Write, class Restore>
  void ask(index_t count, const Write& write, const Restore& restore) {
    map_.ask_together(count, answers_, [&](index_t first, index_t here) {
      write(first, here);
      map_.ask({{points_, here * call_.x.size()}, here, call_.x.size()}, {rows_, here},
               answers_ + first * call_.outputs(), failures_);
      restore(first, here);
    });
    queries_ += count;
    spoil_failed(on_, count, call_.outputs(), answers_);
  }
  column_answers<T> answered(const coordinate_steps<T>& steps, index_t count, double scale) const {
    return {steps, count, call_.outputs(), answers_, call_.y.data(), scale, known_};
  }
  pending_estimate close(bool drop) {
    close_columns(on_, known_, call_.known_y.size() == 0, drop, call_.y.data(), report_,
                  call_.result.size(), call_.result.data());
    return {on_, queries_, report_};
  }

 private:
  const policy& on_;
  const map_call<T>& call_;
  asked_map<T, F> map_;
  on_failure failures_;
  workspace& memory_;
  report* report_;
  column_tally* known_;
  T* points_ = nullptr;
  T* answers_ = nullptr;
  index_t* rows_ = nullptr;  // all 0: x has one row
  index_t queries_ = 0;
};

// `colors` null: dense.
template <class T, class F, difference_scheme S>
pending_estimate jacobian_of(const policy& on, F& f, const map_call<T>& call,
                             const device_coloring* colors, const cge<S>& how,
                             const estimate_options& options, workspace& memory) {
  const cge_options& own = how.options();
  const double smoothing = own.smoothing.number("zo::cuda::jacobian");
  zo::detail::check_smoothing<T>(smoothing);
  const index_t dimension = call.x.size();
  const auto chosen =
      zo::detail::choose_coordinates(own.coordinates, dimension, options.seed, options.step);
  if (std::holds_alternative<random_coordinates>(own.coordinates)) check_draws(on);
  call.agree(on, options, {}, [&](zo::detail::fingerprint& print) {
    print.add(colors == nullptr ? std::uint64_t{0} : colors->print());
    zo::detail::describe(how, print);
  });
  memory.begin(call.who);
  zo::detail::check_plain(call.who, own.failures);
  asked_columns<T, F> asked(on, f, call, options, own.failures, memory);
  constexpr int sides = S::points;
  coordinate_maker<T> maker;
  coordinate_steps<T>& steps = maker.steps;
  steps = {call.x.data(), 1, dimension, nullptr, 0, smoothing, own.relative, sides};
  if (!chosen.all) {
    index_t* const list = memory.take<index_t>(room::list, chosen.count());
    upload(on, chosen.list.data(), chosen.count(), list);
    steps.list = list;
  }
  const index_t groups = colors == nullptr ? chosen.count() : colors->colors();
  const index_t at_once =
      asked.reserve(groups, sides, options.chunk_bytes, chosen.all ? 0 : 8 * chosen.count());
  if (!chosen.all) {  // columns that nobody asks
    fill_zero(on.stream(), call.result.data(),
              call.result.size() * static_cast<index_t>(sizeof(T)));
  }
  asked.base();
  if (colors == nullptr) maker.begin(on, at_once * sides, asked.points());
  for (index_t& first = steps.first; first < groups; first += at_once) {
    const index_t here = std::min(at_once, groups - first);
    asked.ask(
        here * sides,
        [&](index_t k, index_t count) {
          if (colors == nullptr) {
            maker.write(on, k, count, asked.points());
          } else {
            write_colors(on, steps, colors->on_device().color, k, count, asked.points());
          }
        },
        [&](index_t k, index_t count) {
          if (colors == nullptr) maker.restore(on, k, count, asked.points());
        });
    const column_answers<T> from = asked.answered(steps, here, chosen.scale);
    if (colors == nullptr) {
      write_columns(on, from, call.result.data());
    } else {
      write_entries(on, from, colors->on_device(), call.result.data());
    }
  }
  return asked.close(own.failures == on_failure::drop);
}

}  // namespace detail
}  // namespace cuda

/// Enqueues the Jacobian of F: Rⁿ -> Rᵐ at x, dense, column by column as zo::cge steps: see
/// zo::jacobian of zo/jacobian.hpp. All of x, `y` (m: F(x)) and `values` (m x n, row-major) are
/// device memory of the caller's. With `known_y`, which may be y itself, F is not asked at x. Waits
/// for nothing but other processes; can be captured into a graph.
///
/// Values have the bits of zo::seq wherever F answers the same numbers. Differences to the CPU: all
/// queries are made, a number of known_y that is not finite is a failed query, and the `value` of
/// the report says nothing. Memory: points and their answers of `chunk_bytes` together (at least a
/// column's). Throws std::invalid_argument for bad sizes and options, zo::cuda::error for failed
/// CUDA calls.
template <class F, cuda::device_vector X, difference_scheme S>
requires cuda::vector_map<std::remove_reference_t<F>, cuda::device_scalar_of<X>>
    cuda::pending_estimate jacobian(const cuda::policy& on, F&& f, const X& x, const cge<S>& how,
                                    const estimate_options& options,
                                    cuda::span<cuda::device_scalar_of<X>> y,
                                    cuda::span<cuda::device_scalar_of<X>> values,
                                    cuda::workspace& memory,
                                    cuda::span<const cuda::device_scalar_of<X>> known_y = {}) {
  using T = cuda::device_scalar_of<X>;
  const cuda::detail::map_call<T> call{"zo::jacobian", "values", x, y, values, known_y};
  call.check(on, options, detail::checked_product(call.who, y.size(), call.x.size()), memory);
  const detail::in_use::hold alone(call.who, memory.use());
  return cuda::detail::jacobian_of(on, f, call, nullptr, how, options, memory);
}

/// The same where it is known which numbers depend on which: a query a color and side, and `values`
/// has one number a nonzero, in the order of the pattern.
template <class F, cuda::device_vector X, difference_scheme S>
requires cuda::vector_map<std::remove_reference_t<F>, cuda::device_scalar_of<X>>
    cuda::pending_estimate jacobian(const cuda::policy& on, F&& f, const X& x,
                                    const cuda::device_coloring& colors, const cge<S>& how,
                                    const estimate_options& options,
                                    cuda::span<cuda::device_scalar_of<X>> y,
                                    cuda::span<cuda::device_scalar_of<X>> values,
                                    cuda::workspace& memory,
                                    cuda::span<const cuda::device_scalar_of<X>> known_y = {}) {
  using T = cuda::device_scalar_of<X>;
  const cuda::detail::map_call<T> call{"zo::jacobian", "values", x, y, values, known_y};
  detail::require(colors.columns() == call.x.size() && colors.rows() == y.size(), call.who,
                  ": the pattern must have a column for each number of x and a row for each of y, "
                  "got ",
                  colors.columns(), " columns and ", colors.rows(), " rows for ", call.x.size(),
                  " and ", y.size(), " numbers");
  detail::require(std::holds_alternative<all_coordinates>(how.options().coordinates), call.who,
                  ": with a coloring all columns are asked; leave coordinates out");
  call.check(on, options, colors.entries(), memory);
  cuda::detail::check_device_pointer(on, call.who, "the coloring", colors.on_device().starts);
  const detail::in_use::hold alone(call.who, memory.use());
  return cuda::detail::jacobian_of(on, f, call, &colors, how, options, memory);
}

/// Enqueues J(x) u by one query beside F(x), or by one alone with `known_y`: zo::jvp, with the
/// memory, failures and bits of zo::jacobian above. u (n) and `product` (m) are the caller's.
template <class F, cuda::device_vector X>
requires cuda::vector_map<std::remove_reference_t<F>, cuda::device_scalar_of<X>>
    cuda::pending_estimate jvp(const cuda::policy& on, F&& f, const X& x,
                               cuda::span<const cuda::device_scalar_of<X>> u,
                               const jvp_options& how, const estimate_options& options,
                               cuda::span<cuda::device_scalar_of<X>> y,
                               cuda::span<cuda::device_scalar_of<X>> product,
                               cuda::workspace& memory,
                               cuda::span<const cuda::device_scalar_of<X>> known_y = {}) {
  using T = cuda::device_scalar_of<X>;
  const cuda::detail::map_call<T> call{"zo::jvp", "product", x, y, product, known_y};
  call.check(on, options, y.size(), memory);
  detail::require(u.size() == call.x.size(), call.who,
                  ": the direction must have as many numbers as x, got ", u.size(), " and ",
                  call.x.size());
  detail::require(cuda::detail::apart(y, u) && cuda::detail::apart(product, u), call.who,
                  ": y and product must not overlap u");
  cuda::detail::check_device_pointer(on, call.who, "u", u.data());
  const auto mu = static_cast<T>(how.smoothing);
  detail::require(mu > 0 && detail::is_finite(mu), call.who,
                  ": smoothing must be a positive number of the scalar type, got ", how.smoothing);
  const detail::in_use::hold alone(call.who, memory.use());
  call.agree(on, options, u,
             [&](detail::fingerprint& print) { print.add(how.smoothing).add(how.failures); });
  memory.begin(call.who);
  zo::detail::check_plain(call.who, how.failures);
  cuda::detail::asked_columns<T, std::remove_reference_t<F>> asked(on, f, call, options,
                                                                   how.failures, memory);
  asked.reserve(1, 1, options.chunk_bytes, 0);
  asked.base();
  asked.ask(
      1,
      [&](index_t, index_t) {
        cuda::detail::move_along(on, u.size(), call.x.data(), mu, u.data(), asked.points());
      },
      [](index_t, index_t) {});
  cuda::detail::write_product(on, asked.answered({}, 1, 1.0), mu, product.data());
  return asked.close(false);
}

}  // namespace zo
