// What convolutions and linear maps have in common: each output channel is a sum of products over
// all input channels.
#pragma once

#include <optional>
#include <vector>

#include "nn/layer/layer.hpp"

namespace zo::nn::detail {

template <class T>
class product final : public copied_layer<T, product<T>> {
 public:
  product(const network& net, const plan& how, const unit& of);

  void run(batch<T>& of, const pass_call<T>& call) override;
  void prepare_differences(const batch<T>& of, products how) override;
  void start(const batch<T>& base, const view& parameter, index_t element, T step,
             const lane_change<T>& out) const override;
  bool pair(const batch<T>& base, const view& parameter, index_t element, T step, index_t group,
            const T* cotangent, double* sums) const override;
  void follow(const question<T>& q) const override;
  index_t bytes(index_t count, std::optional<products> differences) const override;
  index_t sums_of_group() const override;
  index_t scratch_bytes() const override;

 private:
  using copied_layer<T, product<T>>::node_;
  using copied_layer<T, product<T>>::unit_;

  template <class E>
  convolution_loop<T, E> loop_of(const E* weights) const;
  bool is_bias(const batch<T>& base, const view& parameter) const;
  void follow_group(const question<T>& q, index_t group) const;
  index_t positions_read(const chunk& piece) const;
  template <class Arrived, class Run>
  void each_chunk(const question<T>& q, index_t group, const Arrived& arrived,
                  const Run& run) const;

  bool makes_sums_;        // for the batch norm that follows
  bool in_pairs_ = false;  // products of differences
  std::vector<position_run> runs_;
  std::vector<chunk> chunks_;
  lane_vector<T> packed_, tiles_;
  std::vector<bfloat16_pair> pairs_;
};

}  // namespace zo::nn::detail
