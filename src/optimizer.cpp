// Element loops of the optimizers. Compiled here without contraction, so that a program's own flags
// cannot change the bits of a run.
#include "zo/optimizer.hpp"

#include <cmath>

namespace zo::detail {

template <class T>
void sgd_update(const update_numbers& n, index count, const T* g, T* const state[2], T* x) {
  const T rate = static_cast<T>(n.rate), decay = static_cast<T>(n.decay);
  const T momentum = static_cast<T>(n.momentum);
  T* const velocity = state[0];
  for (index i = 0; i < count; ++i) {
    const T slope = g[i] + decay * x[i];
    if (velocity == nullptr) {
      x[i] -= rate * slope;
      continue;
    }
    velocity[i] = n.first ? slope : momentum * velocity[i] + slope;
    x[i] -= rate * (n.nesterov ? slope + momentum * velocity[i] : velocity[i]);
  }
}

template <class T>
void sign_sgd_update(const update_numbers& n, index count, const T* g, T* const[2], T* x) {
  const T rate = static_cast<T>(n.rate), decay = static_cast<T>(n.decay);
  for (index i = 0; i < count; ++i) {
    const T sign = static_cast<T>((g[i] > T(0)) - (g[i] < T(0)));
    x[i] -= rate * (sign + decay * x[i]);
  }
}

template <class T>
void adam_update(const update_numbers& n, index count, const T* g, T* const state[2], T* x) {
  const T decay = static_cast<T>(n.decay);
  const T beta1 = static_cast<T>(n.beta1), beta2 = static_cast<T>(n.beta2);
  const T rest1 = static_cast<T>(1.0 - n.beta1), rest2 = static_cast<T>(1.0 - n.beta2);
  const T rate = static_cast<T>(n.rate_over_correction1);
  const T root2 = static_cast<T>(n.root_correction2), epsilon = static_cast<T>(n.epsilon);
  T* const first = state[0];
  T* const second = state[1];
  for (index i = 0; i < count; ++i) {
    const T slope = g[i] + decay * x[i];
    first[i] = beta1 * first[i] + rest1 * slope;
    second[i] = beta2 * second[i] + rest2 * (slope * slope);
    x[i] -= rate * first[i] / (std::sqrt(second[i]) / root2 + epsilon);
  }
}

template void sgd_update<float>(const update_numbers&, index, const float*, float* const[2],
                                float*);
template void sgd_update<double>(const update_numbers&, index, const double*, double* const[2],
                                 double*);
template void sign_sgd_update<float>(const update_numbers&, index, const float*, float* const[2],
                                     float*);
template void sign_sgd_update<double>(const update_numbers&, index, const double*, double* const[2],
                                      double*);
template void adam_update<float>(const update_numbers&, index, const float*, float* const[2],
                                 float*);
template void adam_update<double>(const update_numbers&, index, const double*, double* const[2],
                                  double*);

}  // namespace zo::detail
