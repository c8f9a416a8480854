// Jacobians of black boxes with vector answers, whole: where the cotangent is not known yet, or
// many follow. One query a column, or one a color where it is known which numbers depend on which.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/cge.hpp"
#include "zo/coloring.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/random.hpp"
#include "zo/rounding.hpp"
#include "zo/shared.hpp"
#include "zo/slope.hpp"
#include "zo/vector_map.hpp"

namespace zo {

template <class T>
struct jacobian_result {
  std::vector<T> y;       ///< m: F(x)
  std::vector<T> values;  ///< m x n, row-major; with a coloring one a nonzero, in its order
  index_t queries = 0;    ///< evaluations of F
  index_t failed = 0;     ///< those among them that failed
  bool ok = true;         ///< false: no Jacobian; all zeros
  flaw why = flaw::none;  ///< of one that is not ok
  std::shared_ptr<const query_failure> failure{};  ///< the first failed query; null: none failed
};

/// Memory of a Jacobian that is made again and again (any size): result and buffers, so that the
/// next one allocates nothing that an earlier one has allocated.
template <class T>
struct jacobian_workspace {
  jacobian_result<T> result;
  std::vector<T> moved[2];    ///< where each coordinate goes, by side
  std::vector<T> answers;     ///< of the queries of a group
  std::vector<T> candidates;  ///< points that are asked
  std::vector<char> good;     ///< by query of a group: it did not fail
};

namespace detail {

// Columns that are moved together, in an order: each alone, or those of a color.
struct column_groups {
  const chosen_coordinates* single = nullptr;
  const coloring* colors = nullptr;

  index_t count() const { return colors != nullptr ? colors->colors() : single->count(); }
  // body(column) for the columns of group k in first … end-1.
  template <class Body>
  void each(index_t k, index_t first, index_t end, const Body& body) const {
    if (colors == nullptr) {
      const index_t j = (*single)[k];
      if (j >= first && j < end) body(j);
      return;
    }
    const std::span<const index_t> members = colors->columns_of(k);
    const bool whole = first == 0 && end >= colors->pattern().columns;
    auto at = whole ? members.begin() : std::ranges::lower_bound(members, first);
    for (; at != members.end() && *at < end; ++at) body(*at);
  }
};

// x with the columns of a group moved to one side.
template <class T>
class moved_columns final : public point_source<T> {
 public:
  moved_columns(std::span<const T> x, const column_groups& groups, int sides,
                const std::vector<T>* moved)
      : x_(x), groups_(groups), sides_(sides), moved_(moved) {}

  bool moves_a_copy() const override { return true; }
  void write(index_t j, index_t at, index_t count, T* to) const override {
    const T* const moved = moved_[j % sides_].data();
    groups_.each(j / sides_, at, at + count, [&](index_t i) { to[i - at] = moved[i]; });
  }
  void restore(index_t j, T* buffer) const override {
    groups_.each(j / sides_, 0, static_cast<index_t>(x_.size()),
                 [&](index_t i) { buffer[i] = x_[static_cast<std::size_t>(i)]; });
  }
  index_t worth_a_thread() const override { return index_t{1} << 16; }

 private:
  std::span<const T> x_;
  const column_groups& groups_;
  int sides_;
  const std::vector<T>* moved_;  // by side
};

// One point.
template <class T>
class one_point final : public point_source<T> {
 public:
  explicit one_point(std::span<const T> at) : at_(at) {}
  void write(index_t, index_t at, index_t count, T* to) const override {
    std::copy_n(at_.data() + at, count, to);
  }
  index_t worth_a_thread() const override { return index_t{1} << 16; }

 private:
  std::span<const T> at_;
};

// Where each coordinate goes on one side of x. Compiled in src/jacobian.cpp.
template <class T>
void move_all(int threads, std::span<const T> x, double side, double smoothing, bool relative,
              std::vector<T>& moved);

// What some queries say: the answers of `count` groups of columns, `sides` each, of which those
// with good[k] are known not to have failed.
template <class T>
struct answered_columns {
  index_t first = 0;
  index_t count = 0;
  int sides = 1;
  const T* answers = nullptr;
  const char* good = nullptr;
  const T* base = nullptr;  // F(x), or zeros of a map that answers differences
  index_t outputs = 0;
  const T* upper = nullptr;  // by coordinate
  const T* lower = nullptr;
  double scale = 1;

  bool is_good(index_t k) const {
    return good[k * sides] != 0 && (sides == 1 || good[2 * k + 1] != 0);
  }
  const T* upper_answers(index_t k) const { return answers + k * sides * outputs; }
  const T* lower_answers(index_t k) const {
    return sides == 2 ? answers + (2 * k + 1) * outputs : base;
  }
};

// Entries of the Jacobian from the answers, 0 where a query failed; false if an answer that should
// be good, or an entry, is not finite. Compiled in src/jacobian.cpp.
template <class T>
bool write_dense(int threads, const answered_columns<T>& from, const chosen_coordinates& columns,
                 index_t dimension, T* values);
template <class T>
bool write_sparse(int threads, const answered_columns<T>& from, const coloring& colors, T* values);

template <class T>
void check_map_call(const char* who, std::span<const T> x, index_t outputs,
                    const estimate_options& options, std::span<const T> known_y) {
  check_dimension(who, static_cast<index_t>(x.size()));
  check_memory(who, "x", x.data());
  require(outputs >= 1, who, ": F must answer at least 1 number, got ", outputs);
  check_options(who, options);
  require(options.known_values.empty(), who,
          ": known_values are losses; hand answers that are known in as known_y");
  require(known_y.empty() || static_cast<index_t>(known_y.size()) == outputs, who,
          ": known_y must be empty or have ", outputs, " numbers, got ", known_y.size());
  require(known_y.empty() || all_finite(outputs, known_y.data()), who,
          ": a number of known_y is not finite");
}

// y = F(x), known or asked; false where it failed.
template <class T, class Policy, class F>
bool answer_at(const Policy& policy, F& f, std::span<const T> x, index_t outputs,
               const estimate_options& options, on_failure failures, std::span<const T> known_y,
               std::vector<T>& y, map_report& report) {
  if (!known_y.empty() && !difference_map<F, T>) {
    y.assign(known_y.begin(), known_y.end());
    return true;
  }
  y.resize(static_cast<std::size_t>(outputs));
  ask_at_rows(policy, f, points<T>{x, 1, static_cast<index_t>(x.size())}, outputs, options,
              failures, y.data(), report);
  return report.failed == 0;
}

// F at candidates first … first+count-1 of a source; good[k] says that number first + k did not
// throw, and for several processes that it is finite. Their exceptions are added to `why`.
template <class T, class Policy, class F>
void ask_candidates(const Policy& policy, F& f, std::span<const T> x, index_t outputs,
                    const point_source<T>& source, share_range asked, index_t total,
                    const estimate_options& options, on_failure failures,
                    jacobian_workspace<T>& memory, std::vector<std::string>& why) {
  const auto count = static_cast<std::size_t>(asked.count());
  why.assign(count, {});
  memory.answers.resize(count * static_cast<std::size_t>(outputs));
  memory.good.assign(count, 1);
  T* const answers = memory.answers.data();
  ask_vectors(team_of(policy), asked.count(), outputs, answers, [&](index_t begin, index_t here) {
    const kept_answers<T> kept{answers, outputs, asked.first, true, false};
    map_box<T, Policy, F, kept_answers<T>> box(policy, f, outputs, kept, options, failures,
                                               memory.candidates);
    std::vector<double> worth(static_cast<std::size_t>(here));
    // As many rows as questions: the row of a question is its number.
    const index_t first = asked.first + begin;
    box.ask({x.data(), static_cast<index_t>(x.size()), total, 1, 0, total, &source}, first, worth);
    for (index_t k = 0; k < here; ++k) {
      const auto at = static_cast<std::size_t>(begin + k);
      why[at] = box.thrown(first + k);
      if (!is_nan(worth[static_cast<std::size_t>(k)])) continue;
      memory.good[at] = 0;
      std::fill_n(kept.place(first + k), outputs, std::numeric_limits<T>::quiet_NaN());
    }
  });
  if (ranks_of(team_of(policy)) == 1) return;
  for (std::size_t k = 0; k < count; ++k) {
    memory.good[k] = all_finite(outputs, answers + static_cast<index_t>(k) * outputs) ? 1 : 0;
  }
}

// Notes the failed among them.
template <class T>
void note_candidates(std::span<const T> x, const point_source<T>& source, share_range asked,
                     const estimate_options& options, const std::vector<char>& good,
                     const std::vector<std::string>& why, map_report& report) {
  for (std::size_t k = 0; k < good.size(); ++k) {
    if (good[k] != 0) continue;
    std::vector<double> point = reported_point(x);
    if (!point.empty()) {
      std::vector<T> moved(x.begin(), x.end());
      source.write(asked.first + static_cast<index_t>(k), 0, static_cast<index_t>(x.size()),
                   moved.data());
      point.assign(moved.begin(), moved.end());
    }
    report.note({options.step, 0, why_failed(why[k]), std::move(point)});
  }
}

template <class T, class Policy, class F, difference_scheme S>
const jacobian_result<T>& jacobian_of(const Policy& policy, F& f, std::span<const T> x,
                                      index_t outputs, const column_groups& groups, double scale,
                                      const cge<S>& how, const estimate_options& options,
                                      std::span<const T> known_y, index_t entries,
                                      jacobian_workspace<T>& memory) {
  const cge_options& own = how.options();
  const double smoothing = own.smoothing.number("zo::jacobian");
  check_smoothing<T>(smoothing);
  constexpr int sides = S::points;
  const auto dimension = static_cast<index_t>(x.size());
  jacobian_result<T>& result = memory.result;
  result = {std::move(result.y), std::move(result.values)};
  result.values.resize(static_cast<std::size_t>(entries));
  check_plain("zo::jacobian", own.failures);
  if (groups.colors == nullptr) std::ranges::fill(result.values, T(0));
  map_report report;
  const auto end = [&](flaw why) -> const jacobian_result<T>& {
    result.queries = report.queries;
    result.failed = report.failed;
    result.failure = report.failure;
    if (why == flaw::none) return result;
    result.ok = false;
    result.why = why;
    std::ranges::fill(result.values, T(0));
    return result;
  };
  if (!answer_at(policy, f, x, outputs, options, own.failures, known_y, result.y, report)) {
    return end(flaw::query_failed);
  }
  const std::vector<T> zeros(difference_map<F, T> ? result.y.size() : 0);
  const int threads = threads_of(policy);
  for (int side = 0; side < sides; ++side) {
    move_all(threads, x, detail::side(side), smoothing, own.relative, memory.moved[side]);
  }
  const moved_columns<T> source(x, groups, sides, memory.moved);
  const index_t count = groups.count(), fit = options.chunk_bytes / (index_t{sizeof(T)} * outputs);
  const index_t at_once = std::clamp(fit / sides, index_t{1}, count);
  estimate_options inner = options;
  inner.chunk_bytes = candidate_bytes(options.chunk_bytes, dimension, outputs);
  std::vector<std::string> why;
  bool finite = true;
  index_t answered = 0;  // groups
  for (index_t first = 0; first < count; first += at_once) {
    const index_t here = std::min(at_once, count - first);
    const share_range asked{first * sides, (first + here) * sides};
    ask_candidates(policy, f, x, outputs, source, asked, count * sides, inner, own.failures, memory,
                   why);
    report.queries += asked.count();
    const answered_columns<T> from{first,
                                   here,
                                   sides,
                                   memory.answers.data(),
                                   memory.good.data(),
                                   zeros.empty() ? result.y.data() : zeros.data(),
                                   outputs,
                                   memory.moved[0].data(),
                                   sides == 2 ? memory.moved[1].data() : x.data(),
                                   scale};
    const auto write = [&] {
      return groups.colors != nullptr
                 ? write_sparse(threads, from, *groups.colors, result.values.data())
                 : write_dense(threads, from, *groups.single, dimension, result.values.data());
    };
    const bool thrown = std::ranges::count(memory.good, 0) > 0;
    if (!write() ||
        thrown) {  // it sees every number: only then is it worth looking at the answers apart
      for (std::size_t k = 0; k < memory.good.size(); ++k) {
        memory.good[k] =
            memory.good[k] != 0 &&
            all_finite(outputs, memory.answers.data() + static_cast<index_t>(k) * outputs);
      }
      note_candidates(x, source, asked, options, memory.good, why, report);
      if (report.failed > 0 && own.failures == on_failure::stop) return end(flaw::query_failed);
      finite &= write();
    }
    for (index_t k = 0; k < here; ++k) answered += from.is_good(k) ? 1 : 0;
  }
  if (!finite && own.failures == on_failure::stop) return end(flaw::out_of_range);
  return end(answered > 0 ? flaw::none : flaw::query_failed);
}

template <class T, class How>
void agree_on_map(team* others, std::span<const T> x, index_t outputs, const How& how,
                  const estimate_options& options, std::span<const T> known_y,
                  std::uint64_t pattern) {
  agree_on_estimate<T>(
      others, static_cast<index_t>(x.size()), 1,
      [&](fingerprint& print) {
        print.add("zo::jacobian").add(outputs).add(known_y.empty()).add(pattern);
        describe(how, print);
      },
      options, [&] { return fingerprint().add(x).add(known_y).value(); });
}

}  // namespace detail

/// The Jacobian of F: Rⁿ -> Rᵐ at x, dense, column by column as zo::cge steps: its smoothing, its
/// coordinates (columns that are not asked are zero), its failures. Row i, column j is
/// [F(x + h e_j) - F(x)]_i / h, or the central difference, where h is the step that really
/// happened.
///
/// Queries: 1 + n forward, 1 + 2 n central, for n columns; one less with `known_y`, F(x). Memory:
/// the result, a copy of x a side, answers of `chunk_bytes`. Under on_failure::drop the column of a
/// failed query is zero. Same bits for every policy, thread count and chunk size.
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S>
requires vector_map<std::remove_reference_t<F>, scalar_of<X>>
const jacobian_result<scalar_of<X>>& jacobian(const Policy& policy, F&& f, const X& x,
                                              index_t outputs, const cge<S>& how,
                                              const estimate_options& options,
                                              std::span<const scalar_of<X>> known_y,
                                              jacobian_workspace<scalar_of<X>>& memory) {
  using T = scalar_of<X>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  constexpr const char* who = "zo::jacobian";
  detail::check_map_call(who, at, outputs, options, known_y);
  const auto dimension = static_cast<index_t>(at.size());
  const index_t entries = detail::checked_product(who, outputs, dimension);
  detail::agree_on_map(detail::team_of(policy), at, outputs, how, options, known_y, 0);
  const detail::chosen_coordinates chosen =
      detail::choose_coordinates(how.options().coordinates, dimension, options.seed, options.step);
  return detail::jacobian_of(policy, f, at, outputs, {&chosen, nullptr}, chosen.scale, how, options,
                             known_y, entries, memory);
}
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S>
requires vector_map<std::remove_reference_t<F>, scalar_of<X>> jacobian_result<scalar_of<X>>
jacobian(const Policy& policy, F&& f, const X& x, index_t outputs, const cge<S>& how,
         const estimate_options& options = {}, std::span<const scalar_of<X>> known_y = {}) {
  jacobian_workspace<scalar_of<X>> memory;
  jacobian(policy, f, x, outputs, how, options, known_y, memory);
  return std::move(memory.result);
}

/// The same where it is known which numbers depend on which: one query a color. A tridiagonal
/// Jacobian of any size costs 4 queries, one of the 5-point stencil on a grid 7. What F does
/// outside of the pattern is not seen, and spoils entries: zo::jacobian_error looks for it. All
/// columns are asked.
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S>
requires vector_map<std::remove_reference_t<F>, scalar_of<X>>
const jacobian_result<scalar_of<X>>& jacobian(const Policy& policy, F&& f, const X& x,
                                              const coloring& colors, const cge<S>& how,
                                              const estimate_options& options,
                                              std::span<const scalar_of<X>> known_y,
                                              jacobian_workspace<scalar_of<X>>& memory) {
  using T = scalar_of<X>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  constexpr const char* who = "zo::jacobian";
  const sparsity& pattern = colors.pattern();
  detail::check_map_call(who, at, pattern.rows, options, known_y);
  detail::require(pattern.columns == static_cast<index_t>(at.size()), who,
                  ": the pattern must have a column for each number of x, got ", pattern.columns,
                  " and ", at.size());
  detail::require(std::holds_alternative<all_coordinates>(how.options().coordinates), who,
                  ": with a coloring all columns are asked; leave coordinates out");
  if (detail::team* const others = detail::team_of(policy)) {
    detail::fingerprint print;
    print.add(std::span(pattern.starts)).add(std::span(pattern.indices));
    detail::agree_on_map(others, at, pattern.rows, how, options, known_y, print.value());
  }
  return detail::jacobian_of(policy, f, at, pattern.rows, {nullptr, &colors}, 1, how, options,
                             known_y, static_cast<index_t>(pattern.indices.size()), memory);
}
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S>
requires vector_map<std::remove_reference_t<F>, scalar_of<X>> jacobian_result<scalar_of<X>>
jacobian(const Policy& policy, F&& f, const X& x, const coloring& colors, const cge<S>& how,
         const estimate_options& options = {}, std::span<const scalar_of<X>> known_y = {}) {
  jacobian_workspace<scalar_of<X>> memory;
  jacobian(policy, f, x, colors, how, options, known_y, memory);
  return std::move(memory.result);
}

struct jvp_options {
  double smoothing = 1e-3;  ///< mu, the length of the step in units of the direction; above 0
  on_failure failures = on_failure::stop;
};

template <class T>
struct jvp_result {
  std::vector<T> y;        ///< m: F(x)
  std::vector<T> product;  ///< m: [F(x + mu u) - F(x)] / mu, an estimate of J(x) u
  index_t queries = 0;
  index_t failed = 0;
  bool ok = true;         ///< false: the product is zero
  flaw why = flaw::none;  ///< of one that is not ok
  std::shared_ptr<const query_failure> failure{};
};

/// J(x) u by one query beside F(x), or by one alone with `known_y`. x + mu u is rounded as the
/// scalar type has it. Memory: n + 2 m.
template <execution_policy Policy, class F, contiguous_vector X, contiguous_vector U>
requires detail::same_scalar<X, U> && vector_map<std::remove_reference_t<F>, scalar_of<X>>
    jvp_result<scalar_of<X>> jvp(const Policy& policy, F&& f, const X& x, const U& u,
                                 index_t outputs, const jvp_options& how = {},
                                 const estimate_options& options = {},
                                 std::span<const scalar_of<X>> known_y = {}) {
  using T = scalar_of<X>;
  using map = std::remove_reference_t<F>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  const std::span<const T> along(std::ranges::data(u), std::ranges::size(u));
  constexpr const char* who = "zo::jvp";
  detail::check_map_call(who, at, outputs, options, known_y);
  detail::check_plain(who, how.failures);
  detail::require(along.size() == at.size(), who,
                  ": the direction must have as many numbers as x, got ", along.size(), " and ",
                  at.size());
  const auto mu = static_cast<T>(how.smoothing);
  detail::require(mu > 0 && detail::is_finite(mu), who,
                  ": smoothing must be a positive number of the scalar type, got ", how.smoothing);
  detail::agree_on_estimate<T>(
      detail::team_of(policy), static_cast<index_t>(at.size()), 1,
      [&](detail::fingerprint& print) {
        print.add("zo::jvp").add(outputs).add(known_y.empty()).add(how.smoothing).add(how.failures);
      },
      options, [&] { return detail::fingerprint().add(at).add(along).add(known_y).value(); });
  jvp_result<T> result;
  result.product.resize(static_cast<std::size_t>(outputs));
  detail::map_report asked;
  bool good =
      detail::answer_at(policy, f, at, outputs, options, how.failures, known_y, result.y, asked);
  if (good) {
    jacobian_workspace<T> memory;
    std::vector<T> moved(at.size());
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] = detail::rounded(at[i] + detail::rounded(mu * along[i]));
    }
    const detail::one_point<T> source(moved);
    const detail::share_range one{0, 1};
    std::vector<std::string> why;
    detail::ask_candidates(policy, f, at, outputs, source, one, 1, options, how.failures, memory,
                           why);
    ++asked.queries;
    memory.good[0] = detail::all_finite(outputs, memory.answers.data()) ? 1 : 0;
    detail::note_candidates(at, source, one, options, memory.good, why, asked);
    for (std::size_t i = 0; i < memory.answers.size(); ++i) {
      const T from = difference_map<map, T> ? T(0) : result.y[i];
      result.product[i] = static_cast<T>(detail::quotient(memory.answers[i], from, mu, 0));
    }
    good = asked.failed == 0;
  }
  result.queries = asked.queries;
  result.failed = asked.failed;
  result.failure = asked.failure;
  if (!good) {
    result.why = flaw::query_failed;
  } else if (!detail::all_finite(outputs, result.product.data())) {
    result.why = flaw::out_of_range;
  }
  result.ok = result.why == flaw::none;
  if (!result.ok) std::ranges::fill(result.product, T(0));
  return result;
}

namespace detail {

// |J u - product| / |product|, where J u is made row by row.
template <class T, class Row>
double error_along(const std::vector<T>& product, const Row& row) {
  double wrong = 0, size = 0;
  for (std::size_t i = 0; i < product.size(); ++i) {
    const auto want = static_cast<double>(product[i]);
    const double off = row(static_cast<index_t>(i)) - want;
    wrong += off * off;
    size += want * want;
  }
  return std::sqrt(wrong) / (size > 0 ? std::sqrt(size) : 1);
}

template <class T>
std::vector<T> test_direction(index_t dimension, const estimate_options& options) {
  std::vector<T> u(static_cast<std::size_t>(dimension));
  fill_direction(gaussian{}, {options.seed, options.step, 0, purpose::direction}, std::span<T>(u));
  return u;
}

}  // namespace detail

struct jacobian_check {
  double error = 0;       ///< |J u - p| / |p|, where p is what F does along u
  index_t queries = 0;    ///< 1
  bool ok = true;         ///< false: the query failed
  flaw why = flaw::none;  ///< of a check that is not ok
};

/// How far a Jacobian is from what F does along a random normal direction u (of `options`): one
/// query, F(x + mu u), since j.y is known. A wrong pattern shows as an error far above that of the
/// differences, which is of the order of mu and of the rounding of F, divided by mu.
template <execution_policy Policy, class F, contiguous_vector X>
jacobian_check jacobian_error(const Policy& policy, F&& f, const X& x, const coloring& colors,
                              const jacobian_result<scalar_of<X>>& j, const jvp_options& how = {},
                              const estimate_options& options = {}) {
  using T = scalar_of<X>;
  const sparsity& pattern = colors.pattern();
  detail::require(j.values.size() == pattern.indices.size(),
                  "zo::jacobian_error: the Jacobian must be of this coloring, got ",
                  j.values.size(), " entries for ", pattern.indices.size());
  const std::vector<T> u =
      detail::test_direction<T>(static_cast<index_t>(std::ranges::size(x)), options);
  const auto along = jvp(policy, f, x, u, pattern.rows, how, options, j.y);
  const double error = detail::error_along(along.product, [&](index_t i) {
    double sum = 0;
    for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
         k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
      const auto at = static_cast<std::size_t>(k);
      sum += static_cast<double>(j.values[at]) *
             static_cast<double>(u[static_cast<std::size_t>(pattern.indices[at])]);
    }
    return sum;
  });
  return {error, along.queries, along.ok, along.why};
}

/// The same of a dense Jacobian.
template <execution_policy Policy, class F, contiguous_vector X>
jacobian_check jacobian_error(const Policy& policy, F&& f, const X& x,
                              const jacobian_result<scalar_of<X>>& j, const jvp_options& how = {},
                              const estimate_options& options = {}) {
  using T = scalar_of<X>;
  const std::size_t n = std::ranges::size(x);
  detail::require(j.values.size() == n * j.y.size(), "zo::jacobian_error: the Jacobian must have ",
                  n * j.y.size(), " entries, got ", j.values.size());
  const std::vector<T> u = detail::test_direction<T>(static_cast<index_t>(n), options);
  const auto along = jvp(policy, f, x, u, static_cast<index_t>(j.y.size()), how, options, j.y);
  const double error = detail::error_along(along.product, [&](index_t i) {
    double sum = 0;
    for (std::size_t c = 0; c < n; ++c) {
      sum += static_cast<double>(j.values[static_cast<std::size_t>(i) * n + c]) *
             static_cast<double>(u[c]);
    }
    return sum;
  });
  return {error, along.queries, along.ok, along.why};
}

}  // namespace zo
