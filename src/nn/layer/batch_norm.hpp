// Batch norms of values and of differences, with the sum and the ReLU that follow them.
#pragma once

#include <vector>

#include "nn/layer/layer.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::nn::detail {

/// What a batch norm knows of its batch, by channel: y = (x - centre) scale + shift. The centre is
/// the mean rounded to T, `rest` what that left of it, and the shift has that, too.
template <class T>
struct norm_base {
  std::vector<double> mean{}, rest{}, variance{}, root{};  // variance: in train mode
  std::vector<T> centre{}, scale{}, shift{};
};

/// What a batch norm needs of the difference d of its input where statistics follow the batch: sums
/// of q = d - pivot and of q (2 c + q), c = base value - centre. The pivot is near the mean of d:
/// where d is nearly constant its sums would cancel otherwise.
template <class T>
class change_sums {
 public:
  /// Of the difference `d` of value `of`, which a norm with this base reads.
  void begin(const question<T>& q, const lane_change<T>& d, index_t of, const norm_base<T>& norm);
  /// From the first positions of the first samples; before any add.
  void set_pivots(index_t positions);
  void add(index_t group, index_t first, index_t positions);

  struct channel_sums {
    double sum, squares, pivot;
  };
  /// Of channel c among those that lie beside each other.
  channel_sums of_channel(index_t c) const;
  /// The same of one sample.
  channel_sums of_sample(index_t sample, index_t c) const;

 private:
  const double* sums_of(index_t group, index_t c) const;

  const node* node_ = nullptr;
  const T *x_ = nullptr, *centre_ = nullptr;
  lane_change<T> d_{};
  index_t samples_ = 0;
  std::vector<double> sums_{};  // [whole groups, the last one in part][channel][2][lane]
  std::vector<T> pivots_{};
};

template <class T>
class batch_norm final : public copied_layer<T, batch_norm<T>> {
 public:
  batch_norm(const network& net, const plan& how, const unit& of)
      : copied_layer<T, batch_norm<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) override;
  void start(const batch<T>& base, const view& parameter, index_t element, T step,
             const lane_change<T>& out) const override;
  void follow(const question<T>& q) const override;
  bool in_place() const override { return true; }
  const norm_base<T>* norm() const override { return &base_; }
  index_t bytes(index_t count, std::optional<products> differences) const override;
  index_t sums_of_group() const override;
  index_t scratch_bytes() const override;

 private:
  using copied_layer<T, batch_norm<T>>::node_;
  using copied_layer<T, batch_norm<T>>::unit_;

  // How the norm answers a difference, by channel.
  struct factors {
    T *scale, *slope, *shift, *rest;
  };

  void measure(const batch<T>& of, const pass_call<T>& call);
  void sum_values(const batch<T>& of, const pass_call<T>& call) const;
  void take_sums(const batch<T>& of, const pass_call<T>& call);
  void measure_carefully(const batch<T>& of, index_t channel);
  void use_running(const batch<T>& of, std::span<const T> statistics);
  void write_values(batch<T>& of, int threads) const;
  void measure_samples(const question<T>& q) const;
  void find_factors(const question<T>& q, const factors& out) const;
  norm_response<T> careful_response(const question<T>& q, index_t channel,
                                    const norm_input& input) const;
  void write_differences(const question<T>& q, const lane_change<T>& d, const factors& how,
                         index_t group, index_t first, index_t count) const;

  norm_base<T> base_;
};

}  // namespace zo::nn::detail
