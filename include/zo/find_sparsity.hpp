// The sparsity pattern of a Jacobian, found by asking.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/coloring.hpp"
#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/jacobian.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/random.hpp"
#include "zo/vector_map.hpp"

namespace zo {

struct find_sparsity_options {
  double smoothing = 1e-3;  ///< mu: columns are moved by mu times a normal number; above 0
  /// An answer has changed if it differs by more than this. 0: in any bit, which is right for maps
  /// whose numbers are sums of what they depend on alone, in one order.
  double tolerance = 0;
  std::optional<index_t> max_queries{};  ///< give up instead of asking more
};

struct find_sparsity_result {
  sparsity pattern;       ///< what has been seen to depend on what; empty if not ok
  index_t queries = 0;    ///< evaluations of F
  bool ok = true;         ///< false: a query failed, or max_queries would not do
  flaw why = flaw::none;  ///< of a search in which a query failed
  std::shared_ptr<const query_failure> failure{};
};

namespace detail {

// x with all columns of some blocks of `size` columns moved.
template <class T>
class moved_blocks final : public point_source<T> {
 public:
  moved_blocks(std::span<const T> x, const std::vector<T>& moved, const coloring& blocks,
               index_t size)
      : x_(x), moved_(moved), blocks_(blocks), size_(size) {}

  bool moves_a_copy() const override { return true; }
  void write(index_t color, index_t at, index_t count, T* to) const override {
    copy(moved_.data(), color, at, count, to);
  }
  void restore(index_t color, T* buffer) const override {
    copy(x_.data(), color, 0, static_cast<index_t>(x_.size()), buffer);
  }
  index_t worth_a_thread() const override { return index_t{1} << 16; }

 private:
  void copy(const T* from, index_t color, index_t at, index_t count, T* to) const {
    for (const index_t block : blocks_.columns_of(color)) {
      const index_t first = std::max(at, block * size_);
      const index_t end =
          std::min({at + count, (block + 1) * size_, static_cast<index_t>(x_.size())});
      if (first < end) std::copy(from + first, from + end, to + (first - at));
    }
  }

  std::span<const T> x_;
  const std::vector<T>& moved_;
  const coloring& blocks_;
  index_t size_;
};

// The two halves of every block that a row depends on.
inline sparsity halved(const sparsity& blocks, index_t columns) {
  sparsity halves{blocks.rows, columns, {0}, {}};
  for (index_t i = 0; i < blocks.rows; ++i) {
    for (index_t k = blocks.starts[static_cast<std::size_t>(i)];
         k < blocks.starts[static_cast<std::size_t>(i) + 1]; ++k) {
      const index_t block = blocks.indices[static_cast<std::size_t>(k)];
      halves.indices.push_back(2 * block);
      if (2 * block + 1 < columns) halves.indices.push_back(2 * block + 1);
    }
    halves.starts.push_back(static_cast<index_t>(halves.indices.size()));
  }
  return halves;
}

}  // namespace detail

/// Which of the m numbers of F depend on which of the n of x, at x: columns are moved in blocks, by
/// random amounts, and blocks that some number notices are halved until they are single columns.
/// Blocks that no number shares are asked together (zo::coloring), so that some c log2(n) queries
/// find a pattern of c colors; a dense one costs 2 n. A dependence that does not show at x by a
/// step of mu is missed: zo::jacobian_error is the check.
///
/// Memory: the pattern of blocks, 4 n, and answers of `chunk_bytes`. Throws std::invalid_argument
/// for bad options, and what F throws; an answer that is not finite ends the search.
template <execution_policy Policy, class F, contiguous_vector X>
requires vector_map<std::remove_reference_t<F>, scalar_of<X>> find_sparsity_result
find_sparsity(const Policy& policy, F&& f, const X& x, index_t outputs,
              const find_sparsity_options& how = {}, const estimate_options& options = {}) {
  using T = scalar_of<X>;
  using map = std::remove_reference_t<F>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  constexpr const char* who = "zo::find_sparsity";
  detail::check_map_call<T>(who, at, outputs, options, {});
  const auto mu = static_cast<T>(how.smoothing);
  detail::require(mu > 0 && detail::is_finite(mu), who,
                  ": smoothing must be a positive number of the scalar type, got ", how.smoothing);
  detail::require(how.tolerance >= 0, who, ": tolerance must be at least 0, got ", how.tolerance);
  const auto dimension = static_cast<index_t>(at.size());
  detail::agree_on_estimate<T>(
      detail::team_of(policy), dimension, 1,
      [&](detail::fingerprint& print) {
        print.add("zo::find_sparsity").add(outputs).add(how.smoothing).add(how.tolerance);
        print.add(how.max_queries.value_or(-1));
      },
      options, [&] { return detail::fingerprint().add(at).value(); });

  find_sparsity_result result;
  detail::map_report report;
  const auto end = [&](bool ok, flaw why) {
    result.queries = report.queries;
    result.failure = report.failure;
    result.ok = ok;
    result.why = why;
    if (!ok) result.pattern = {};
    return std::move(result);
  };
  const auto payable = [&](index_t queries) {
    return !how.max_queries || report.queries + queries <= *how.max_queries;
  };
  if (!payable(1)) return end(false, flaw::none);
  std::vector<T> y;
  if (!detail::answer_at<T>(policy, f, at, outputs, options, on_failure::stop, {}, y, report)) {
    return end(false, flaw::query_failed);
  }
  if constexpr (difference_map<map, T>) std::ranges::fill(y, T(0));
  jacobian_workspace<T> memory;
  std::vector<T> moved(at.size());
  sparsity& blocks = result.pattern;
  blocks = {outputs, 1, {}, std::vector<index_t>(static_cast<std::size_t>(outputs), 0)};
  for (index_t i = 0; i <= outputs; ++i) blocks.starts.push_back(i);
  for (auto size = static_cast<index_t>(std::bit_ceil(static_cast<std::uint64_t>(dimension)));;
       size /= 2) {
    const coloring colors(blocks);
    if (!payable(colors.colors())) return end(false, flaw::none);
    fill_direction(
        gaussian{},
        {options.seed, options.step, static_cast<std::uint32_t>(size), purpose::direction},
        std::span<T>(moved));
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] = detail::rounded(at[i] + detail::rounded(mu * moved[i]));
    }
    const detail::moved_blocks<T> source(at, moved, colors, size);
    const index_t count = colors.colors();
    const index_t at_once =
        std::clamp(options.chunk_bytes / (index_t{sizeof(T)} * outputs), index_t{1}, count);
    std::vector<char> seen(blocks.indices.size(), 0);
    for (index_t first = 0; first < count; first += at_once) {
      const detail::share_range asked{first, std::min(count, first + at_once)};
      std::vector<std::string> why;
      detail::ask_candidates(policy, f, at, outputs, source, asked, count, options,
                             on_failure::stop, memory, why);
      report.queries += asked.count();
      for (std::size_t k = 0; k < memory.good.size(); ++k) {
        const T* const answers = memory.answers.data() + static_cast<index_t>(k) * outputs;
        memory.good[k] = detail::all_finite(outputs, answers) ? 1 : 0;
      }
      detail::note_candidates(at, source, asked, options, memory.good, why, report);
      if (report.failed > 0) return end(false, flaw::query_failed);
      for (index_t i = 0; i < outputs; ++i) {
        for (index_t k = blocks.starts[static_cast<std::size_t>(i)];
             k < blocks.starts[static_cast<std::size_t>(i) + 1]; ++k) {
          const index_t c = colors.color_of(blocks.indices[static_cast<std::size_t>(k)]);
          if (c < asked.first || c >= asked.end) continue;
          const double change =
              static_cast<double>(
                  memory.answers[static_cast<std::size_t>((c - first) * outputs + i)]) -
              static_cast<double>(y[static_cast<std::size_t>(i)]);
          seen[static_cast<std::size_t>(k)] = detail::magnitude(change) > how.tolerance ? 1 : 0;
        }
      }
    }
    sparsity left{outputs, blocks.columns, {0}, {}};
    for (index_t i = 0; i < outputs; ++i) {
      for (index_t k = blocks.starts[static_cast<std::size_t>(i)];
           k < blocks.starts[static_cast<std::size_t>(i) + 1]; ++k) {
        const auto entry = static_cast<std::size_t>(k);
        if (seen[entry] != 0) left.indices.push_back(blocks.indices[entry]);
      }
      left.starts.push_back(static_cast<index_t>(left.indices.size()));
    }
    if (size == 1) {
      blocks = std::move(left);
      return end(true, flaw::none);
    }
    blocks = detail::halved(left, (dimension + size / 2 - 1) / (size / 2));
  }
}

}  // namespace zo
