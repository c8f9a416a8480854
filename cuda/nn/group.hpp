// Probes that go together.
#pragma once

#include "cuda/nn/state.hpp"

namespace zo::cuda::detail {

// Probes of one parameter tensor, as many as `count`, in their memory.
template <class T>
class group {
 public:
  group(network_state<T>& state, const layout& way, index_t count, char* memory)
      : s_(state),
        way_(way),
        count_(count),
        memory_(memory),
        channels_(reinterpret_cast<int*>(memory + way.channels * count)) {}

  void begin(const nn::view& moved, const index_t* order, const index_t* coordinates,
             const T* steps);
  void follow(const placed_unit& p);
  void end(const index_t* order, double* differences);

 private:
  template <class N>
  N* numbers(index_t place) const {
    return reinterpret_cast<N*>(memory_ + place * count_);
  }
  change<T> change_of(const placed& p, index_t id) const;
  void follow_product(const placed_unit& p, const change<T>& main, const sink<T>& out);
  void follow_chain(const placed_unit& p, const change<T>& main, const sink<T>& out);
  norm_responses<T> responses_of(const placed_unit& p, const change<T>& main);

  network_state<T>& s_;
  const layout& way_;
  index_t count_;
  char* memory_;
  int* channels_;
};

}  // namespace zo::cuda::detail
