// A network of fixed weights as a black box with vector answers: a row of numbers in, outputs out.
// zo::pullback, zo::jacobian and zo::jvp ask it by differences.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/nn/difference_pass.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"
#include "zo/objective.hpp"

namespace zo::nn {

/// Models zo::difference_map: a row of x is one input of the network, an answer its outputs. A
/// difference of inputs goes through the layers as such (difference_pass), so that no two passes
/// are subtracted and steps may be as small as one likes, in float too. The same bits for any
/// number of threads.
///
/// Rows are independent, so batch norms use running statistics. Network, parameters and statistics
/// are copied. Cost: a forward pass a row in prepare, and one a candidate. Memory: pass_bytes of
/// the rows, at least 16, and difference_bytes of as many a thread. Throws std::invalid_argument
/// for sizes that do not fit the network.
template <class T>
class input_map {
 public:
  input_map(const network& net, std::span<const T> parameters, std::span<const T> statistics = {})
      : parameters_(parameters.begin(), parameters.end()),
        statistics_(statistics.begin(), statistics.end()),
        pass_(std::make_unique<forward_pass<T>>(net)) {
    using zo::detail::require;
    require(static_cast<index_t>(parameters.size()) == net.parameter_count(), who,
            ": the network has ", net.parameter_count(), " parameters, got ", parameters.size());
    require(
        static_cast<index_t>(statistics.size()) == net.statistic_count(), who,
        ": each row is an input of its own, and batch norms have no statistics of a batch; hand "
        "in the ",
        net.statistic_count(), " running ones of the network, got ", statistics.size());
  }

  void prepare(const execution_policy auto& on, points<T> x, std::span<T> ys) {
    count_ = 0;
    check_sizes(x, ys);
    // Samples are evaluated by groups: a few rows are taken as often as a group has room.
    const index_t slots = x.count * std::max(index_t{1}, samples_of_group / x.count);
    if (slots != slots_) makers_.clear();
    slots_ = slots;
    std::vector<T> inputs;
    inputs.reserve(static_cast<std::size_t>(slots * x.dimension));
    for (index_t first = 0; first < slots; first += x.count) {
      inputs.insert(inputs.end(), x.data.begin(), x.data.end());
    }
    pass_->run(on, parameters_, statistics_, inputs, slots, norm_mode::eval);
    pass_->prepare_differences();
    for (auto& maker : makers_) maker->begin();
    std::ranges::copy(pass_->outputs().first(ys.size()), ys.begin());
    x_ = x.data;
    count_ = x.count;
  }

  void differences(const execution_policy auto& on, points<T> candidates,
                   std::span<const index_t> rows, std::span<T> dys) {
    using zo::detail::require;
    require(count_ > 0, who, ": prepare comes before differences");
    check_sizes(candidates, dys);
    require(static_cast<index_t>(rows.size()) == candidates.count, who, ": ", candidates.count,
            " candidates need as many rows, got ", rows.size());
    // Candidates that lie in slots of their rows, in ascending order, are asked together.
    struct part {
      index_t first, end, slots;
    };
    std::vector<part> parts;
    std::vector<index_t> slot_of(rows.size());
    for (index_t j = 0, slot = slots_; j < candidates.count; ++j) {
      const index_t row = rows[static_cast<std::size_t>(j)];
      require(row >= 0 && row < count_, who, ": row ", row, " is not in 0 … ", count_ - 1);
      slot += (row + count_ - slot % count_) % count_;
      if (slot >= slots_) {
        parts.push_back({j, j, 0});
        slot = row;
      }
      slot_of[static_cast<std::size_t>(j)] = slot;
      parts.back().end = j + 1;
      parts.back().slots = ++slot;
    }
    const auto threads = static_cast<std::size_t>(zo::detail::threads_of(on));
    const std::size_t workers = std::min(parts.size(), threads);
    while (makers_.size() < workers) {
      makers_.push_back(std::make_unique<difference_pass<T>>(*pass_));
    }
    moved_.resize(std::max(moved_.size(), workers));
    const auto numbers = static_cast<std::size_t>(candidates.dimension);
    const auto outputs = static_cast<std::size_t>(pass_->net().output().size());
    auto one = [&](index_t k, int worker) {
      const part& now = parts[static_cast<std::size_t>(k)];
      std::vector<T>& moved = moved_[static_cast<std::size_t>(worker)];
      moved.assign(static_cast<std::size_t>(now.slots) * numbers, T(0));
      for (auto j = static_cast<std::size_t>(now.first); j < static_cast<std::size_t>(now.end);
           ++j) {
        const T* const at = candidates.data.data() + j * numbers;
        const T* const from = x_.data() + static_cast<std::size_t>(rows[j]) * numbers;
        T* const to = moved.data() + static_cast<std::size_t>(slot_of[j]) * numbers;
        for (std::size_t i = 0; i < numbers; ++i) to[i] = at[i] - from[i];
      }
      const std::span<const T> changed =
          makers_[static_cast<std::size_t>(worker)]->from(0, moved, coupling::batch);
      for (auto j = static_cast<std::size_t>(now.first); j < static_cast<std::size_t>(now.end);
           ++j) {
        std::ranges::copy(changed.subspan(static_cast<std::size_t>(slot_of[j]) * outputs, outputs),
                          dys.begin() + static_cast<std::ptrdiff_t>(j * outputs));
      }
    };
    zo::detail::run_loop(static_cast<int>(workers), static_cast<index_t>(parts.size()),
                         zo::detail::loop_body(one));
  }

  /// Of the differences since the last prepare, to be compared with network::multiplications().
  index_t multiplications() const {
    index_t sum = 0;
    for (const auto& maker : makers_) sum += maker->multiplications();
    return sum;
  }

 private:
  static constexpr const char* who = "zo::nn::input_map";
  static constexpr index_t samples_of_group = 16;

  void check_sizes(const points<T>& inputs, std::span<const T> answers) const {
    const shape in = pass_->net().nodes().front().out, out = pass_->net().output();
    zo::detail::require(inputs.count >= 1, who, ": there are no rows; give at least 1");
    zo::detail::require(inputs.dimension == in.size(), who, ": an input of the network, ",
                        text_of(in), ", has ", in.size(), " numbers, and a row of x ",
                        inputs.dimension);
    zo::detail::require(static_cast<index_t>(answers.size()) == inputs.count * out.size(), who,
                        ": the network answers ", out.size(), " numbers a row; ", inputs.count,
                        " rows need room for ", inputs.count * out.size(), ", got ",
                        answers.size());
  }

  std::vector<T> parameters_, statistics_;
  std::unique_ptr<forward_pass<T>> pass_;
  std::vector<std::unique_ptr<difference_pass<T>>> makers_;  // one a thread
  std::vector<std::vector<T>> moved_;                        // of each
  std::span<const T> x_;
  index_t count_ = 0, slots_ = 0;
};

}  // namespace zo::nn
